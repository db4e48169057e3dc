// Name and version of the product, from package.json next to the sources (or next to the packaged code).
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'

export const PRODUCT_NAME = 'Ascend Quant Workbench'

/** The product's root folder: the nearest one upwards that holds package.json. */
export const productRoot: string = findRoot(import.meta.dirname)

function findRoot(folder: string): string {
  if (existsSync(path.join(folder, 'package.json'))) return folder
  const parent = path.dirname(folder)
  return parent === folder ? process.cwd() : findRoot(parent)
}

/** e.g. `0.1.0` */
export function productVersion(): string {
  const manifest = JSON.parse(readFileSync(path.join(productRoot, 'package.json'), 'utf8')) as {
    version?: string
  }
  return manifest.version ?? '0.0.0'
}
