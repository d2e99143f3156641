// Owns the executor's end of the connection to its agent. Must not outlive the agent: when it ends, so does the process group.
import { Socket } from 'node:net'
import { decodeMessage } from '../../../protocol/index.ts'
import { type FromExecutor, fromExecutor, type ToExecutor, toExecutor } from '../frames.ts'
import { encodeFrame, FrameReader } from '../framing.ts'

const linkFd = 3
const nothing = new Uint8Array(0)

export class Link {
  readonly #socket = new Socket({ fd: linkFd, readable: true, writable: true })
  readonly #reader = new FrameReader()

  constructor(handle: (frame: ToExecutor) => void) {
    this.#socket.on('data', (data: Buffer) => this.#reader.push(data, frame => handle(decodeMessage(toExecutor, frame))))
    this.#socket.on('error', endGroup)
    this.#socket.on('close', endGroup)
  }

  /** Sends a frame; true if the kernel has all of it, so that the agent can read it whatever this process does next. */
  send(frame: FromExecutor, expectedBytes?: number): boolean {
    this.#socket.write(encodeFrame(fromExecutor, frame, expectedBytes))
    return this.#socket.writableLength === 0
  }

  /** False while frames wait for the agent to read. */
  get drained(): boolean {
    return this.#socket.writableLength === 0
  }

  /** Resolves when the agent has taken what was sent. */
  untilDrained(): Promise<void> {
    // An empty write is called back when all before it is out; 'drain' comes only after a full buffer.
    return new Promise(resolve => this.#socket.write(nothing, () => resolve()))
  }
}

/** The agent is gone: nobody wants what this process or its children do. */
function endGroup(): void {
  process.kill(0, 'SIGKILL')
}
