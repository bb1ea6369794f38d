import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDefinition } from '#src/core/read-definition.js'
import arrive from '#src/handlers/file/arrive.js'
import hash from '#src/handlers/file/hash.js'
import thumbnail from '#src/handlers/image/thumbnail.js'
import rollup from '#src/handlers/report/rollup.js'
import deliver from '#src/handlers/webhook/deliver.js'

const handlers = { arrive, hash, thumbnail, rollup, deliver }

for (const [name, handler] of Object.entries(handlers)) {
  test(`${name} is a definition that the runtime takes`, () => {
    const read = readDefinition(handler)
    assert.equal(read.kind, 'handler', read.kind === 'problems' ? read.problems.join('; ') : '')
  })
}
