// Shows work that keeps cores busy and moves megabytes: pictures are drawn and scaled down on the workers. A picture is larger than
// 64 KiB, so it travels as a block, by itself: the leader never sees its bytes.
// Run it with: node examples/thumbnails.ts [FOLDER] [COUNT]. It writes thumbnails as .ppm files.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, task } from '../src/index.ts'

/** Pixels as red, green, blue, row by row. */
interface Picture {
  name: string
  width: number
  height: number
  pixels: Uint8Array
}

const width = 640
const height = 480
const iterationsMax = 200

/** Iterations until a point of the plane escapes: the Mandelbrot set. */
function iterations(re: number, im: number): number {
  let x = 0
  let y = 0
  let n = 0
  while (n < iterationsMax && x * x + y * y < 4) {
    const next = x * x - y * y + re
    y = 2 * x * y + im
    x = next
    n++
  }
  return n
}

/** A picture that is not there yet: a closer look with each number. */
export const draw = task({
  name: 'draw',
  timeout: '60s',
  run(number: number, ctx): Picture {
    const scale = 3 / 1.5 ** number
    const pixels = new Uint8Array(width * height * 3)
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const n = iterations(-0.7436 + (column / width - 0.5) * scale, 0.1318 + ((row / height - 0.5) * scale * height) / width)
        pixels.set(n === iterationsMax ? [0, 0, 0] : [(n * 5) % 256, (n * 3) % 256, 255 - n], (row * width + column) * 3)
      }
      if (row % 48 === 0) ctx.progress(row / height)
    }
    return { name: `look-${String(number).padStart(3, '0')}`, width, height, pixels }
  },
})

/** Each pixel of a thumbnail is the mean of the square that it stands for. */
export const shrink = task({
  name: 'shrink',
  timeout: '30s',
  run({ picture, width }: { picture: Picture; width: number }): Picture {
    const step = Math.floor(picture.width / width)
    const size = { width: Math.floor(picture.width / step), height: Math.floor(picture.height / step) }
    const pixels = new Uint8Array(size.width * size.height * 3)
    for (let at = 0; at < pixels.length; at++) {
      const column = Math.floor(at / 3) % size.width
      const row = Math.floor(at / 3 / size.width)
      let sum = 0
      for (let y = 0; y < step; y++)
        for (let x = 0; x < step; x++) sum += picture.pixels[((row * step + y) * picture.width + column * step + x) * 3 + (at % 3)]!
      pixels[at] = Math.round(sum / step ** 2)
    }
    return { name: picture.name, ...size, pixels }
  },
})

if (import.meta.main) {
  const folder = process.argv[2] ?? 'thumbnails'
  const count = Number(process.argv[3] ?? 24)
  await mkdir(folder, { recursive: true })
  await using cluster = await connect()

  /** Pictures as they are drawn, no further ahead than thumbnails are taken. */
  async function* drawn() {
    const numbers = Array.from({ length: count }, (_, number) => number)
    for await (const picture of cluster.map(draw, numbers, { window: 8 })) yield { picture, width: 160 }
  }

  for await (const { name, width, height, pixels } of cluster.map(shrink, drawn())) {
    await writeFile(join(folder, `${name}.ppm`), [Buffer.from(`P6 ${width} ${height} 255\n`), pixels])
    console.log(`${name}.ppm  ${width} × ${height}`)
  }
}
