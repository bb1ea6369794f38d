import { lstatSync, mkdirSync, writeFileSync } from 'node:fs'
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
    'the folder, which is made if it is not there. Never writes over a file, nor through a link: when one is there that it\n' +
    'would write, it writes none at all and exits with 1. Prints the files that it wrote.',
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
    const problem = problemOf(
      folder,
      files.map(({ file }) => file),
    )
    if (problem !== undefined) {
      console.narrate(`error: ${problem}; nothing was written`)
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

/** Why these files cannot be written into a folder; links count as what is there, wherever they lead. */
function problemOf(folder: string, files: readonly string[]): string | undefined {
  const found = (file: string) => lstatSync(path.join(folder, file), { throwIfNoEntry: false })
  const parents = new Set(files.flatMap(parentsOf))
  const odd = [...parents].filter((parent) => found(parent)?.isDirectory() === false)
  if (odd.length > 0) return `${odd.join(', ')} in ${folder} would have to be a folder, and no link to one`
  const there = files.filter((file) => found(file) !== undefined)
  if (there.length > 0) return `${there.join(', ')} in ${folder} would be written over`
  return undefined
}

/** `a` and `a/b` of `a/b/c`. */
function parentsOf(file: string): string[] {
  const names = file.split('/').slice(0, -1)
  return names.map((_, index) => names.slice(0, index + 1).join('/'))
}
