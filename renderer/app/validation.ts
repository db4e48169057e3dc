// zod would compile its schemas with `new Function`, which the window's content security policy forbids.
import { z } from 'zod'

z.config({ jitless: true })
