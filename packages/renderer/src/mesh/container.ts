/**
 * The outer shell of a glTF asset: a GLB's chunks or a .gltf's text, and the bytes its buffers and images
 * point to. Lengths are checked against what is there before anything is allocated.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { quote } from '@dwm/core-tensor/files';

const MAGIC = 0x46546c67;
const JSON_CHUNK = 0x4e4f534a;
const BINARY_CHUNK = 0x004e4942;

export type Json = Record<string, unknown>;

interface Container {
  readonly json: Json;
  /** The GLB's binary chunk. */
  readonly binary?: Uint8Array<ArrayBuffer>;
}

/** @throws InvalidFileError for anything that is neither GLB 2 nor glTF JSON. */
export function openContainer(bytes: Uint8Array, file: string): Container {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || view.getUint32(0, true) !== MAGIC) return { json: parseJson(bytes, file) };
  const version = view.getUint32(4, true);
  if (version !== 2)
    throw new InvalidFileError(file, `GLB version ${version}, expected 2; export it as glTF 2.0`);
  const length = view.getUint32(8, true);
  if (length > bytes.length) {
    throw new InvalidFileError(
      file,
      `truncated: the header says ${length} bytes, the file has ${bytes.length}; copy the file again`,
    );
  }
  let json: Json | undefined;
  let binary: Uint8Array<ArrayBuffer> | undefined;
  for (let at = 12; at + 8 <= length; ) {
    const size = view.getUint32(at, true);
    const kind = view.getUint32(at + 4, true);
    if (size > length - at - 8) {
      throw new InvalidFileError(
        file,
        `GLB chunk at byte ${at} says ${size} bytes, ${length - at - 8} are left; the file is damaged`,
      );
    }
    const chunk = bytes.subarray(at + 8, at + 8 + size);
    if (kind === JSON_CHUNK) json ??= parseJson(chunk, file);
    // A copy: views of other element sizes need an aligned start.
    else if (kind === BINARY_CHUNK) binary ??= new Uint8Array(chunk);
    at += 8 + Math.ceil(size / 4) * 4;
  }
  if (!json) throw new InvalidFileError(file, 'has no JSON chunk, expected a GLB 2.0 file');
  return { json, binary };
}

function parseJson(bytes: Uint8Array, file: string): Json {
  try {
    const json: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (json !== null && typeof json === 'object' && !Array.isArray(json)) return json as Json;
  } catch {
    // Told below.
  }
  throw new InvalidFileError(file, 'is neither a GLB file nor glTF JSON; expected a .glb or .gltf');
}

/** The bytes of a data URI; `undefined` for another kind of URI. @param field where it stands, for errors. */
export function decodeDataUri(uri: string, file: string, field: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^data:/i.test(uri)) return undefined;
  const comma = uri.indexOf(',');
  const fail = (problem: string): never => {
    throw new InvalidFileError(file, `${field}: is a data URI ${problem}; export the file again`, { field });
  };
  if (comma < 0) return fail('without a comma');
  const body = uri.slice(comma + 1);
  try {
    if (!/;base64$/i.test(uri.slice(0, comma))) return percentBytes(body);
    return Uint8Array.from(atob(decodeURIComponent(body)), (c) => c.charCodeAt(0));
  } catch {
    return fail('that cannot be decoded');
  }
}

/** Bytes of a text with %XX in it. @throws Error for a % without its digits. */
function percentBytes(text: string): Uint8Array<ArrayBuffer> {
  const source = new TextEncoder().encode(text);
  const out = new Uint8Array(source.length);
  let length = 0;
  for (let at = 0; at < source.length; at++) {
    if (source[at] !== 0x25) {
      out[length++] = source[at];
      continue;
    }
    const digits = String.fromCharCode(...source.subarray(at + 1, at + 3));
    if (!/^[0-9a-f]{2}$/i.test(digits)) throw new Error('not a percent code');
    out[length++] = Number.parseInt(digits, 16);
    at += 2;
  }
  return out.subarray(0, length);
}

/**
 * The path that a relative URI names, `/` between its parts. Whether it leaves the folder is for its reader to say.
 * @throws InvalidFileError for an address elsewhere, and for a `%` that is none of a percent code.
 */
export function pathOf(uri: string, file: string, field: string): string {
  const fail = (problem: string, fix: string): never => {
    throw new InvalidFileError(file, `${field}: ${quote(uri)} ${problem}; ${fix}`, { field });
  };
  if (/^[a-z][a-z0-9+.-]+:/i.test(uri)) {
    return fail('is an address elsewhere', 'download it and name the file beside the .gltf');
  }
  try {
    return decodeURIComponent(uri);
  } catch {
    return fail('has a % that is no percent code', 'write %25 for a percent sign');
  }
}
