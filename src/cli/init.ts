import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type Command, cliExitCodes } from './command.ts'
import { millraceSpecifier, projectFiles, projectName } from './project-template.ts'

/** `millrace init`: a project with one handler and its test. */
export const init: Command = {
  name: 'init',
  arguments: '<folder>',
  takes: [1, 1],
  summary: 'make a project with one handler and its test',
  details:
    'Writes a handler in TypeScript, its test, package.json, tsconfig.json, Dockerfile, compose.yaml and README.md into\n' +
    'the folder, which is made if it is not there. Never writes over a file: when one is there that it would write, it\n' +
    'writes none at all and exits with 1. Prints the files that it wrote.',
  flags: {
    millrace: {
      value: '<version or place>',
      help: 'the dependency on millrace in package.json, such as ^0.1.0 or file:millrace-0.1.0.tgz',
    },
  },
  ownConnection: true,
  example: 'millrace init my-jobs && cd my-jobs && npm install && npm test',

  async run({ positionals: [given], json, text }, console) {
    const folder = path.resolve(given!)
    const millrace = text('millrace') ?? millraceSpecifier(folder)
    const files = projectFiles({ name: projectName(folder), millrace })
    const there = files.filter(({ file }) => existsSync(path.join(folder, file))).map(({ file }) => file)
    if (there.length > 0) {
      console.narrate(`error: ${there.join(', ')} in ${folder} would be written over; nothing was written`)
      return cliExitCodes.failed
    }
    for (const { file, content } of files) {
      const target = path.join(folder, file)
      mkdirSync(path.dirname(target), { recursive: true })
      // It may have come to be there since.
      writeFileSync(target, content, { flag: 'wx' })
    }
    const written = files.map(({ file }) => file)
    if (json) console.print(JSON.stringify({ folder, millrace, files: written }))
    else for (const file of written) console.print(path.join(given!, file))
    if (millrace.startsWith('file:'))
      console.narrate(
        `millrace is not on npm yet: package.json takes it from ${millrace.slice('file:'.length)}`,
      )
    console.narrate(`now: cd ${given} && npm install && npm test`)
    return cliExitCodes.ok
  },
}
