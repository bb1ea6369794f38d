import { rmSync } from 'node:fs'
import path from 'node:path'
import { narrate, root } from './console.mjs'

// The obtained nats-server stays, unless asked: getting it needs a network.
const outputs = process.argv.includes('--all') ? ['dist', 'build', '.cache'] : ['dist', 'build']
for (const dir of outputs) rmSync(path.join(root, dir), { recursive: true, force: true })
narrate(`removed ${outputs.join(', ')}`)
