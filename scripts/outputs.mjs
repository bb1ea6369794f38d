import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import { root } from './console.mjs'

const compiled = /\.(d\.ts|d\.ts\.map|js\.map|js|mjs|cjs)$/
/** Made of compiled files, see `bundle-threads.mjs`. */
const bundled = /^threads[\\/](catalog|thread)-entry\.bundle\.js(\.map)?$/
const ownFiles = new Set(['package.json', 'tsconfig.json', 'README.md'])

/** The projects that the root `tsconfig.json` refers to: where their sources are and where outputs go. */
export function listProjects() {
  return readJson(path.join(root, 'tsconfig.json')).references.map((reference) => {
    const dir = path.join(root, reference.path)
    const { compilerOptions } = readJson(path.join(dir, 'tsconfig.json'))
    return {
      sourceDir: dir,
      outDir: path.join(dir, compilerOptions.outDir),
      buildInfo: path.join(dir, compilerOptions.tsBuildInfoFile),
    }
  })
}

/**
 * Forgets the build info of a project that lacks an output: `tsc -b` trusts that file alone and
 * would not write again what somebody deleted. Answers the source folders concerned.
 */
export function forgetIncompleteBuilds(projects) {
  const incomplete = projects.filter(
    (project) =>
      existsSync(project.buildInfo) &&
      sourcesOf(project).some((file) => !existsSync(outputOf(project, file.replace(/\.ts$/, '.js')))),
  )
  for (const project of incomplete) rmSync(project.buildInfo)
  return incomplete.map((project) => path.relative(root, project.sourceDir))
}

/** Removes compiled files whose source is gone, which `tsc -b` leaves behind. Answers what it removed. */
export function pruneOutputs(projects) {
  const outDirs = new Set(projects.map((project) => project.outDir))
  const removed = []
  for (const project of projects) {
    const outputs = listFiles(project.outDir, (dir) => !outDirs.has(dir) || dir === project.outDir)
    for (const file of outputs.filter((name) => compiled.test(name) && !bundled.test(name))) {
      const asSource = path.join(project.sourceDir, file)
      const hasSource = existsSync(asSource.replace(compiled, '.ts')) || existsSync(asSource)
      if (hasSource) continue
      rmSync(outputOf(project, file))
      removed.push(path.relative(root, outputOf(project, file)))
    }
  }
  return removed
}

/**
 * Copies what the compiler leaves out (fixtures in JavaScript, CSV, images) beside the compiled
 * files, where it is new or has changed. Answers how many were copied.
 */
export function copyAssets(projects) {
  let copied = 0
  for (const project of projects) {
    for (const file of listFiles(project.sourceDir)) {
      if (file.endsWith('.ts') || ownFiles.has(file)) continue
      const [from, to] = [path.join(project.sourceDir, file), outputOf(project, file)]
      if (isSame(from, to)) continue
      mkdirSync(path.dirname(to), { recursive: true })
      copyFileSync(from, to)
      copied += 1
    }
  }
  return copied
}

/** Relative paths of the files below `dir`; folders that `enters` refuses are left out. */
export function listFiles(dir, enters = () => true) {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    if (!entry.isDirectory()) return [entry.name]
    const inner = path.join(dir, entry.name)
    if (entry.name === 'node_modules' || !enters(inner)) return []
    return listFiles(inner, enters).map((file) => path.join(entry.name, file))
  })
}

function sourcesOf(project) {
  return listFiles(project.sourceDir).filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
}

function outputOf(project, file) {
  return path.join(project.outDir, file)
}

function isSame(from, to) {
  return (
    existsSync(to) && statSync(from).size === statSync(to).size && readFileSync(from).equals(readFileSync(to))
  )
}

/** Reads JSON with comments, which tsconfig files may hold; strings are matched first and kept. */
function readJson(file) {
  const text = readFileSync(file, 'utf8')
  return JSON.parse(text.replace(/("(?:\\.|[^"\\])*")|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, '$1'))
}
