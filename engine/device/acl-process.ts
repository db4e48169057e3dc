// Entry of the device process for NPUs, real and simulated.
import { AclBackend } from './acl-backend.ts'
import { serveDevice } from './serve.ts'

serveDevice((command) => new AclBackend(command.selector))
