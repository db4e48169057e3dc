// All texts of the window by language, put together from its sections.
import { calibration } from './messages/calibration.ts'
import { common } from './messages/common.ts'
import { compare } from './messages/compare.ts'
import { data } from './messages/data.ts'
import { home } from './messages/home.ts'
import { environment } from './messages/environment.ts'
import { models } from './messages/models.ts'
import { prepare } from './messages/prepare.ts'
import { project } from './messages/project.ts'
import { quality } from './messages/quality.ts'
import { quantize } from './messages/quantize.ts'
import { recipe } from './messages/recipe.ts'
import { shell } from './messages/shell.ts'
import { vote } from './messages/vote.ts'
import { devices, jobs, settings } from './messages/work.ts'

export type WindowLocale = 'en' | 'zh'

const sections = {
  shell,
  common,
  home,
  environment,
  project,
  models,
  data,
  prepare,
  calibration,
  quantize,
  recipe,
  compare,
  quality,
  vote,
  jobs,
  devices,
  settings,
}
type Sections = typeof sections
type Texts<L extends WindowLocale> = { [K in keyof Sections]: Sections[K][L] }

function of<L extends WindowLocale>(locale: L): Texts<L> {
  return Object.fromEntries(
    Object.entries(sections).map(([name, texts]) => [name, texts[locale]]),
  ) as Texts<L>
}

export const messages = { en: of('en'), zh: of('zh') }
