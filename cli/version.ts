// The product's version, from package.json.
import { readFileSync } from 'node:fs'

/** Version of the product, e.g. `0.1.0`. */
export function productVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : ''
  return String(version)
}
