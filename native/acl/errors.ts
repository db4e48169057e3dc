// From an ACL status to the product's error: which of our codes, the header's name, and the runtime's own text.
import { AppError, type ErrorCode, type ErrorDetails } from '../../contract/errors/index.ts'
import { AclStatus } from './constants.ts'
import { aclErrorName } from './error-codes.ts'

const DEVICE_MEMORY = new Set([200000, 207001, 207018, 245000])
const DRIVER = new Set([107001, 200002, 207004, 207006, 500004, 507008, 507010, 507033, 507899])
const CONTEXT = new Set([100001, 107002, 107003, 107004, 107005])
const TIMEOUT = new Set([
  107019, 107020, 207020, 507012, 507014, 507017, 507034, 507046, 507047, 507048, 545601,
])
const EXECUTION = new Set([
  507011, 507015, 507016, 507018, 507035, 507036, 507042, 507043, 507044, 507045, 507049, 507050, 507053,
  507054,
])
const ARGUMENT = new Set([100000, 100017, 100018, 107000, 145000, 145011, 145012, 145013, 145021])
const MODEL_ID = new Set([100011, 145003])
const MODEL_FILE = new Set([
  100003, 100005, 100006, 100012, 100013, 100014, 100015, 100016, 145002, 145006, 545001, 545002, 545003,
  545004, 545005,
])

/** Text by which the Graph Engine refuses an .om of another SoC (status is a generic GE failure). */
const WRONG_SOC = /soc version is not support|soc_version .*(mismatch|not match)/i

function codeFor(call: string, status: number, reason: string): ErrorCode {
  if (status === AclStatus.COMPILING_STUB_MODE) return 'E_DEVICE_STUB_LIBRARY'
  if (MODEL_ID.has(status)) return 'E_DEVICE_MODEL_ID'
  if (DEVICE_MEMORY.has(status)) return 'E_DEVICE_MEMORY'
  if (call.startsWith('aclmdlLoad') || call.startsWith('aclmdlQuerySize')) {
    return WRONG_SOC.test(reason) ? 'E_DEVICE_MODEL_SOC' : 'E_DEVICE_MODEL_FILE'
  }
  if (MODEL_FILE.has(status)) return 'E_DEVICE_MODEL_FILE'
  if (DRIVER.has(status)) return 'E_DEVICE_DRIVER'
  if (CONTEXT.has(status)) return 'E_DEVICE_CONTEXT'
  if (TIMEOUT.has(status)) return 'E_DEVICE_TIMEOUT'
  if (EXECUTION.has(status)) return 'E_DEVICE_EXECUTION'
  if (ARGUMENT.has(status)) return 'E_DEVICE_ARGUMENT'
  return 'E_DEVICE_CALL'
}

/** One line out of the runtime's multi-line report; at most 600 characters, whatever the driver writes. */
export function condenseReason(text: string | null): string {
  const line = (text ?? '').replace(/\s+/g, ' ').trim()
  return line.length > 600 ? `${line.slice(0, 599)}…` : line
}

/**
 * Builds the error of a failed ACL call.
 * @param recentMessage text of aclGetRecentErrMsg, read right after the call on the same thread (it is thread-local
 *   and cleared by reading).
 */
export function aclError(
  call: string,
  status: number,
  recentMessage: string | null,
  details: ErrorDetails = {},
): AppError {
  const reason = condenseReason(recentMessage)
  return new AppError(codeFor(call, status, reason), {
    call,
    status,
    name: aclErrorName(status) ?? 'unlisted status',
    reason,
    ...details,
  })
}
