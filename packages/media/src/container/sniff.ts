/** What kind of file this is, by its first bytes: containers that are read, and names for others that people bring. */

type Container = 'mp4' | 'matroska';

/** Boxes that MP4 and MOV files begin with. */
const FIRST_BOXES = ['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp', 'uuid'];

const OTHERS: [name: string, at: number, bytes: string][] = [
  ['an AVI video', 8, 'AVI '],
  ['a WAV sound', 8, 'WAVE'],
  ['a WebP picture', 8, 'WEBP'],
  ['a GIF', 0, 'GIF8'],
  ['a PNG picture', 0, '\x89PNG'],
  ['a JPEG picture', 0, '\xff\xd8\xff'],
  ['a Flash video', 0, 'FLV'],
  ['an Ogg file', 0, 'OggS'],
  ['a Windows Media file', 0, '\x30\x26\xb2\x75'],
  ['an MPEG program stream', 0, '\x00\x00\x01\xba'],
  ['a raw H.264 or HEVC stream', 0, '\x00\x00\x00\x01'],
  ['a YUV4MPEG video', 0, 'YUV4MPEG'],
  ['an MP3 sound', 0, 'ID3'],
  ['a ZIP archive', 0, 'PK\x03\x04'],
  ['a PDF', 0, '%PDF'],
  ['an MPEG transport stream', 0, 'G'],
];

/** Whether the characters of a text, a byte each, stand at a place of `bytes`. */
export const textIn =
  (bytes: Uint8Array) =>
  (at: number, text: string): boolean =>
    at + text.length <= bytes.length && [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0));

/** The container, or the name of what it is instead; undefined where nobody knows. */
export function sniff(head: Uint8Array): { container: Container } | { other: string } | undefined {
  const is = textIn(head);
  if (is(0, '\x1a\x45\xdf\xa3')) return { container: 'matroska' };
  if (FIRST_BOXES.some((type) => is(4, type))) return { container: 'mp4' };
  // Packets of a transport stream are 188 bytes.
  const found = OTHERS.find(([, at, bytes]) => is(at, bytes) && (bytes !== 'G' || is(188, bytes)));
  if (found) return { other: found[0] };
  const text = head.length > 0 && head.every((byte) => byte >= 0x20 || [9, 10, 12, 13].includes(byte));
  return text ? { other: 'a text file' } : undefined;
}
