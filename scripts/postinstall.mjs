// Runs after `npm ci`: builds the simulated NPU. Never fails the installation, whatever happens.
try {
  const { buildNative } = await import('./build-native.mjs')
  const result = await buildNative()
  if (result.status === 'failed') {
    console.warn(`The simulated NPU could not be built; the host CPU device works.\n${result.message}`)
  } else {
    console.log(result.message)
  }
} catch (error) {
  console.warn(`The simulated NPU could not be built; the host CPU device works. ${error}`)
}
