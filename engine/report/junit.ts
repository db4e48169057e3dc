// Gates as JUnit XML, the form in which build servers read test results.
import type { Comparison } from '../../contract/comparison.ts'
import type { GateCheck, GateResult } from '../../contract/gates.ts'

/** Characters XML 1.0 cannot hold are dropped. */
function escape(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex -- these are the characters to drop
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '')
      .replace(/[<>&"']/g, (character) => `&#${character.charCodeAt(0)};`)
  )
}

function checkText({ text, left, right, missing, outcome }: GateCheck): string {
  const values = missing.length > 0 ? `no ${missing.join(', ')}` : `${left} against ${right}`
  return `${outcome}: ${text} (${values})`
}

function testCase({ expression, candidate, outcome, checks }: GateResult): string {
  const start = `    <testcase classname="${escape(candidate)}" name="${escape(expression)}"`
  if (outcome === 'passed') return `${start}/>`
  const kind = outcome === 'failed' ? 'failure' : 'error'
  const message = escape(
    checks
      .filter((check) => check.outcome !== 'passed')
      .map(checkText)
      .join('; '),
  )
  const details = escape(checks.map(checkText).join('\n'))
  return `${start}>\n      <${kind} message="${message}">${details}</${kind}>\n    </testcase>`
}

/** One test suite with a test case per gate and candidate; what is unknown is an error. */
export function renderJunit({ gates, created_at, model }: Comparison): string {
  const count = (outcome: GateResult['outcome']): number =>
    gates.filter((gate) => gate.outcome === outcome).length
  const totals = `tests="${gates.length}" failures="${count('failed')}" errors="${count('unknown')}"`
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${totals}>`,
    `  <testsuite name="${escape(model.path)}" timestamp="${escape(created_at)}" ${totals}>`,
    ...gates.map(testCase),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n')
}
