// What axe-core and the tab key find on a page.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

interface AxeResult {
  violations: { id: string; impact: string | null; nodes: { target: unknown[]; failureSummary?: string }[] }[]
}

/** Serious and critical findings, one line each. */
export async function seriousFindings(page: Page): Promise<string[]> {
  await page.evaluate(`globalThis.axe ? 0 : ${axeSource}\n;0`)
  const result = await page.evaluate<AxeResult>(`axe.run(document, { resultTypes: ['violations'] })`)
  return result.violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, impact, nodes }) =>
      nodes.map(
        (node) => `${impact} ${id} ${node.target.map(String).join(' ')}: ${node.failureSummary ?? ''}`,
      ),
    )
}

/** Installed in the page: names elements, and lists what can be operated. */
const INSPECT = `(() => {
  const visible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && element.getClientRects().length > 0 && !element.closest('[inert], [aria-hidden=true]')
  const name = (element) => (element.getAttribute('aria-label') || element.textContent || element.getAttribute('placeholder')
    || element.getAttribute('value') || '').replace(/\\s+/g, ' ').trim().slice(0, 60)
  const describe = (element) => element.tagName.toLowerCase()
    + (element.getAttribute('role') ? '[' + element.getAttribute('role') + ']' : '') + ' "' + name(element) + '"'
  const FOCUSABLE = 'a[href], button, input, select, textarea, [tabindex]'
  // One stop for the whole group; the arrow keys move inside (WAI-ARIA Authoring Practices, keyboard interface).
  const GROUP = '[role=grid], [role=radiogroup], [role=listbox], [role=menu], [role=tablist], [role=slider]'
  // Parts of one control: its own input has the focus, keys do what the parts do.
  const CONTROL = '.el-select, .el-switch, .el-input-number, .el-input, .el-checkbox, .el-radio'
  const isStop = (element) => element.matches(FOCUSABLE) && element.tabIndex >= 0 && !element.disabled
  return {
    describe,
    stops: () => [...document.querySelectorAll(FOCUSABLE)].filter((element) => isStop(element) && visible(element)),
    /** What looks clickable but can be reached by no key. */
    mouseOnly: () => [...document.querySelectorAll('body *')].filter((element) => {
      if (getComputedStyle(element).cursor !== 'pointer' || !visible(element)) return false
      if (element.parentElement && getComputedStyle(element.parentElement).cursor === 'pointer') return false
      if (element.closest('label, canvas, ' + GROUP) || element.querySelector('canvas')) return false
      if (element.disabled || element.closest('[aria-disabled=true]')) return false
      const control = element.closest(CONTROL)
      if (control && [...control.querySelectorAll(FOCUSABLE)].some(isStop)) return false
      for (let at = element; at; at = at.parentElement) if (isStop(at)) return false
      return ![...element.querySelectorAll(FOCUSABLE)].some(isStop)
    }).map(describe),
    group: (element) => element.closest(GROUP),
  }
})()`

export interface KeyboardReport {
  /** Names of what got the focus, in order. */
  order: string[]
  /** Focusable, but the tab key never came by. */
  missed: string[]
  /** Reacts to the mouse, to no key. */
  mouseOnly: string[]
}

/** Presses Tab from the start of the page until the focus has been everywhere. */
export async function walkByKeyboard(page: Page, limit = 250): Promise<KeyboardReport> {
  await page.evaluate(`globalThis.__inspect = ${INSPECT}; globalThis.__visited = new Set()
    document.activeElement?.blur(); getSelection()?.removeAllRanges(); document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')`)
  const order: string[] = []
  for (let press = 0; press < limit; press++) {
    await page.keyboard.press('Tab')
    const at = await page.evaluate<string | null>(`(() => {
      const at = document.activeElement
      if (!at || at === document.body || __visited.has(at)) return null
      __visited.add(at)
      return __inspect.describe(at)
    })()`)
    if (at === null) break
    order.push(at)
  }
  const rest = await page.evaluate<{ missed: string[]; mouseOnly: string[] }>(`(() => {
    const groups = new Set([...__visited].map((element) => __inspect.group(element)).filter(Boolean))
    const missed = __inspect.stops().filter((element) => !__visited.has(element)
      && !groups.has(__inspect.group(element))
      && !(element.type === 'radio' && [...__visited].some((other) => other.type === 'radio' && other.name === element.name)))
    return { missed: missed.map(__inspect.describe), mouseOnly: __inspect.mouseOnly() }
  })()`)
  return { order, ...rest }
}
