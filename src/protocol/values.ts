// Owns what user values look like as bytes, between SDK and executor. Nobody else may look into them.
import type { Writer } from './bytes.ts'

/** Appends the value's bytes. Throws VALUE_CANNOT_TRAVEL with the path to the offending field. */
export declare function writeValue(writer: Writer, value: unknown): void

/** The value's bytes in pieces, large binary parts not copied. Throws VALUE_CANNOT_TRAVEL with the path to the offending field. */
export declare function encodeValue(value: unknown): Uint8Array[]

/** The value in these bytes. Throws VALUE_MALFORMED. */
export declare function decodeValue(bytes: Uint8Array): unknown
