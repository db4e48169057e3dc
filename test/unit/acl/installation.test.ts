// Finding CANN and reading its version files, over the layouts of its releases.
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cannArchitecture, findVendorLibrary, installRoots } from '../../../native/acl/discovery.ts'
import { relevantEnvironment, vendorEnvironment } from '../../../native/acl/environment.ts'
import { parseInfoFile, readInstalledVersions, releaseOfVersionCfg } from '../../../native/acl/versions.ts'

const files = (entries: Record<string, string>) => (file: string) => entries[file] ?? null

const driverInfo = `Version=24.1.rc1
ascendhal_version=7.35.19
Innerversion=V100R001C15SPC006B220
compatible_version=[V100R001C30],[V100R001C13]
`

describe('discovery', () => {
  it('tries what the user set before the usual prefixes', () => {
    const env = {
      ASCEND_TOOLKIT_HOME: '/opt/b',
      ASCEND_HOME_PATH: '/opt/a/',
      CANN_HOME: 'relative/ignored',
      HOME: '/home/u',
    }
    const roots = installRoots(env)
    expect(roots.slice(0, 3)).toEqual(['/opt/a/', '/opt/b', '/usr/local/Ascend/cann'])
    expect(roots).toContain('/home/u/Ascend/ascend-toolkit/latest')
    expect(roots).not.toContain('relative/ignored')
  })

  it.each([
    [
      '/usr/local/Ascend/ascend-toolkit/latest/lib64/libascendcl.so',
      '/usr/local/Ascend/ascend-toolkit/latest',
    ],
    [`/usr/local/Ascend/cann/${cannArchitecture()}/lib64/libascendcl.so`, '/usr/local/Ascend/cann'],
    ['/usr/local/Ascend/nnrt/latest/acllib/lib64/libascendcl.so', '/usr/local/Ascend/nnrt/latest'],
  ])('finds %s', (file, root) => {
    const { library } = findVendorLibrary({}, (candidate) => candidate === file)
    expect(library).toEqual({ kind: 'vendor', path: file, root })
  })

  it('never takes a compile-only stub', () => {
    const { library, searched } = findVendorLibrary({}, (candidate) => /stub|devlib/.test(candidate))
    expect(library).toBeNull()
    expect(searched.length).toBeGreaterThan(10)
  })
})

describe('environment of the device process', () => {
  const library = { kind: 'vendor', path: '/opt/cann/lib64/libascendcl.so', root: '/opt/cann' } as const

  it('sets what set_env.sh sets, keeps what the user set, prepends library folders', () => {
    const env = { LD_LIBRARY_PATH: '/mine:/opt/cann/lib64', ASCEND_OPP_PATH: '/my/opp' }
    expect(vendorEnvironment(library, env, () => true)).toEqual({
      LD_LIBRARY_PATH: [
        '/opt/cann/lib64',
        '/opt/cann/lib64/plugin/opskernel',
        '/opt/cann/lib64/plugin/nnengine',
        '/usr/local/Ascend/driver/lib64',
        '/usr/local/Ascend/driver/lib64/common',
        '/usr/local/Ascend/driver/lib64/driver',
        '/mine',
      ].join(':'),
      ASCEND_HOME_PATH: '/opt/cann',
      ASCEND_TOOLKIT_HOME: '/opt/cann',
      ASCEND_AICPU_PATH: '/opt/cann',
      ASCEND_OPP_PATH: '/my/opp',
    })
  })

  it('keeps only variables that change a result', () => {
    const env = {
      PATH: '/bin',
      ASCENDSIM_PACE: '0',
      AWS_SECRET: 'x',
      ASCEND_RT_VISIBLE_DEVICES: '1',
      EMPTY: undefined,
    }
    expect(relevantEnvironment(env)).toEqual({ ASCENDSIM_PACE: '0', ASCEND_RT_VISIBLE_DEVICES: '1' })
  })
})

describe('version files', () => {
  it('reads CANN 8 with driver and firmware', () => {
    const root = '/usr/local/Ascend/ascend-toolkit/latest'
    const install = `${root}/${cannArchitecture()}/ascend_toolkit_install.info`
    const read = files({
      [install]:
        'package_name=Ascend-cann-toolkit\nversion=8.0.0\ninnerversion=V100R001C20SPC001B251\narch=aarch64\n',
      '/usr/local/Ascend/driver/version.info': driverInfo,
      '/usr/local/Ascend/firmware/version.info': 'Version=7.7.0.1.231\n',
    })
    expect(readInstalledVersions(root, read)).toEqual({
      cann: '8.0.0',
      cannInner: 'V100R001C20SPC001B251',
      driver: '24.1.rc1',
      firmware: '7.7.0.1.231',
      sources: [install, '/usr/local/Ascend/driver/version.info', '/usr/local/Ascend/firmware/version.info'],
    })
  })

  it('reads the installed driver path and prefers package_version', () => {
    const read = files({
      '/etc/ascend_install.info': 'UserName=HwHiAiUser\nDriver_Install_Path_Param=/data/Ascend\n',
      '/data/Ascend/driver/version.info': 'Version=7.8.0\npackage_version=25.3.rc1\n',
    })
    expect(readInstalledVersions(null, read)).toMatchObject({
      cann: null,
      driver: '25.3.rc1',
      firmware: null,
    })
  })

  it.each([
    ['/r/version.cfg', '# comment\nruntime_running_version=[7.7.T20.0.B210:8.1.RC1]\n', '8.1.RC1'],
    ['/r/runtime/version.info', 'Version=7.6.0.1.220\nversion_dir=8.0.0\n', '8.0.0'],
    ['/r/share/info/runtime/version.info', 'Version=9.1.0\n', '9.1.0'],
  ])('falls back to %s', (file, text, release) => {
    expect(readInstalledVersions('/r', files({ [file]: text })).cann).toBe(release)
  })

  it('says null where nothing is installed', () => {
    const nothing = { cann: null, cannInner: null, driver: null, firmware: null, sources: [] }
    expect(readInstalledVersions('/r', () => null)).toEqual(nothing)
    expect(releaseOfVersionCfg('compiler_running_version=broken')).toBeNull()
  })

  it('survives any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        for (const [key, value] of parseInfoFile(text)) expect(`${key}${value}`).not.toContain('\n')
        readInstalledVersions('/r', () => text)
        path.join('/r', releaseOfVersionCfg(text) ?? '')
      }),
    )
  })
})
