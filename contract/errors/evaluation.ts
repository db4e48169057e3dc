// Errors of quality evaluation: tasks, the models they name, what is generated.
import type { ErrorCatalog } from './catalog.ts'

export const evaluationErrors = {
  E_TASK_INVALID: {
    en: {
      message: '{path} is not a quality task: {problems}',
      hint: 'docs/evaluation.md describes every key; "aqw evaluate --init FOLDER" writes a task for a model folder.',
    },
    zh: {
      message: '{path} 不是有效的质量任务：{problems}',
      hint: '各字段见 docs/evaluation.md；"aqw evaluate --init 文件夹" 可为模型文件夹生成任务。',
    },
  },
  E_TASK_FILE: {
    en: {
      message: '{path}: {what} names {file}, which {reason}',
      hint: 'Paths are relative to the task file. Correct the path or put the file there.',
    },
    zh: {
      message: '{path}：{what} 指向 {file}，但{reason}',
      hint: '路径相对于任务文件。请更正路径或将文件放到该处。',
    },
  },
  E_TASK_TENSOR: {
    en: {
      message: '{model} has no {direction} named "{tensor}", which the task calls {role}; it has {known}',
      hint: 'Correct the name in the task.',
    },
    zh: {
      message: '{model} 没有名为 "{tensor}" 的{direction}（任务中的 {role}）；现有：{known}',
      hint: '请在任务中更正名称。',
    },
  },
  E_TASK_SHAPE: {
    en: {
      message: '{model}: {tensor} is {found}, the task needs {expected}',
      hint: 'Use the model the task was written for, or correct the task.',
    },
    zh: {
      message: '{model}：{tensor} 为 {found}，任务需要 {expected}',
      hint: '请使用任务对应的模型，或更正任务。',
    },
  },
  E_TASK_FOLDER: {
    en: {
      message: '{path} holds no models this can make a task of: {reason}',
      hint: 'Expected a diffusers-style export (unet, text_encoder, vae_decoder, scheduler, tokenizer), or write the task by hand.',
    },
    zh: {
      message: '无法从 {path} 生成任务：{reason}',
      hint: '应为 diffusers 布局的导出（unet、text_encoder、vae_decoder、scheduler、tokenizer），或手写任务文件。',
    },
  },
  E_TOKENIZER: {
    en: {
      message: 'The tokenizer {path} cannot encode "{text}": {reason}',
      hint: 'Use the tokenizer the model was trained with.',
    },
    zh: {
      message: '分词器 {path} 无法编码 "{text}"：{reason}',
      hint: '请使用训练该模型时的分词器。',
    },
  },
  E_GENERATION_NOT_FINITE: {
    en: {
      message: '{side}: the result for "{prompt}" (seed {seed}) holds {value} after step {step} of {steps}',
      hint: 'The model overflows: keep the layers that do in higher precision, or look at the baseline first.',
    },
    zh: {
      message: '{side}："{prompt}"（种子 {seed}）的结果在第 {step}/{steps} 步出现 {value}',
      hint: '模型发生溢出：请将相关层保持为更高精度，或先检查基线模型。',
    },
  },
  E_LOSS_NOT_FINITE: {
    en: {
      message: '{side}: token {token} of sequence {sequence} has a loss of {value}',
      hint: 'The model overflows: keep the layers that do in higher precision, or look at the baseline first.',
    },
    zh: {
      message: '{side}：第 {sequence} 个序列的第 {token} 个 token 损失为 {value}',
      hint: '模型发生溢出：请将相关层保持为更高精度，或先检查基线模型。',
    },
  },
  E_TASK_STEPS: {
    en: {
      message: 'The sampler is to take {steps} steps, the noise schedule has {count}',
      hint: 'Use fewer sampler steps.',
    },
    zh: { message: '采样步数为 {steps}，噪声调度只有 {count} 步', hint: '请减少采样步数。' },
  },
  E_EVALUATION_MISMATCH: {
    en: {
      message: '{path} holds results of another evaluation ({what} differs)',
      hint: 'Choose another folder, or leave out --resume to start anew.',
    },
    zh: {
      message: '{path} 中是另一次评估的结果（{what} 不同）',
      hint: '请选择其他文件夹，或去掉 --resume 重新开始。',
    },
  },
  E_GENERATED_MISSING: {
    en: {
      message: 'Run {run} has no generated result "{sample}" of {side}',
      hint: 'Compare with a quality task to generate results; both sides must have been generated.',
    },
    zh: {
      message: '运行 {run} 中没有 {side} 的生成结果 "{sample}"',
      hint: '请使用质量任务进行对比以生成结果，且两侧都须已生成。',
    },
  },
  E_GATE: {
    en: {
      message: 'The gate "{gate}" cannot be read: {reason} (character {at})',
      hint: 'Example: latency.mean <= 0.7*baseline && quality.fid_delta <= 1. All figures: docs/gates.md.',
    },
    zh: {
      message: '无法解析门限 "{gate}"：{reason}（第 {at} 个字符）',
      hint: '示例：latency.mean <= 0.7*baseline && quality.fid_delta <= 1。全部指标见 docs/gates.md。',
    },
  },
  E_GATE_FAILED: {
    en: {
      message: '{failed} of {total} gates do not hold: {reasons}',
      hint: 'A figure that is missing never passes; everything that was measured is in the comparison.',
    },
    zh: {
      message: '{total} 个门限中有 {failed} 个未通过：{reasons}',
      hint: '缺失的指标一律视为未通过；全部测量结果见对比报告。',
    },
  },
} satisfies ErrorCatalog
