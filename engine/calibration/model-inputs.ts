// The inputs of a model in the form data sets are checked against.
import type { ModelInput } from '../../contract/quantization.ts'
import { DataType, type Model } from '../onnx/index.ts'

/** Inputs in the model's order; symbolic and unknown dimensions are null, a missing shape is an open vector. */
export function modelInputs(model: Model): ModelInput[] {
  return model.graph.inputs.map((input) => ({
    name: input.name,
    dataType: input.elementType ?? DataType.UNDEFINED,
    dims: input.shape?.map((dimension) => dimension.value ?? null) ?? [null],
  }))
}
