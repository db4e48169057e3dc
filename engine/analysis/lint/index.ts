// The deploy linter: every constraint of ATC that a model breaks, listed before ATC is run. Rules after the checks and graph
// passes of AMCT, the plug-ins of hicann/ops-nn, and the ATC documentation; texts in contract/lint.ts.
import type { LintFinding } from '../../../contract/lint.ts'
import type { Model } from '../../onnx/index.ts'
import { LintContext, type LintOptions } from './context.ts'
import {
  constantRules,
  externalRules,
  inputRules,
  nameRules,
  operatorRules,
  opsetRules,
  sizeRules,
} from './file-rules.ts'
import { layerRules } from './layer-rules.ts'
import { quantRules } from './quant-rules.ts'

export type { LintOptions } from './context.ts'

const RULES = [
  operatorRules,
  opsetRules,
  sizeRules,
  externalRules,
  inputRules,
  nameRules,
  quantRules,
  layerRules,
  constantRules,
]

/** Findings about a model that is meant for ATC, errors first. A floating-point model is checked likewise. */
export function lintDeployModel(model: Model, options: LintOptions = {}): LintFinding[] {
  const context = new LintContext(model, options)
  for (const rule of RULES) rule(context)
  return context.findings()
}
