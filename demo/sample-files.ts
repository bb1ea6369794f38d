import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { deflateSync } from 'node:zlib'

/** Files for the example handlers to work on, and a folder for what they write. */
export type SampleFiles = { picture: string; sales: string; outputDir: string }

/** Writes a picture and a table of sales into `dir`. */
export async function writeSampleFiles(dir: string): Promise<SampleFiles> {
  const files = {
    picture: path.join(dir, 'picture.png'),
    sales: path.join(dir, 'sales.csv'),
    outputDir: path.join(dir, 'output'),
  }
  await mkdir(files.outputDir)
  await writeFile(files.picture, drawPicture(1_200, 800))
  await writeFile(files.sales, listSales(20_000))
  return files
}

function listSales(rows: number): string {
  const regions = ['north', 'east', 'south', 'west']
  const lines = Array.from({ length: rows }, (_, row) => {
    const region = regions[row % regions.length]
    return `${row + 1},${region},${(row * 37) % 50},${((row * 7919) % 10_000) / 100}`
  })
  return ['id,region,units,amount', ...lines, ''].join('\n')
}

/** A colour gradient as PNG (RFC 2083: signature, then chunks of length, type, content and CRC). */
function drawPicture(width: number, height: number): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 2], 8) // 8 bits a channel, red green blue
  const lines = Buffer.alloc(height * (1 + width * 3))
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const colour = [(x * 255) / width, (y * 255) / height, ((x + y) * 255) / (width + height)]
      lines.set(colour, y * (1 + width * 3) + 1 + x * 3)
    }
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(lines)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(content.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}

/** `zlib.crc32` is missing in Node 20. */
function crc32(bytes: Buffer): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return ~crc >>> 0
}
