/**
 * Values of [0, 1] as bytes, rounded down as the original does when it saves a video; what lies outside is clamped.
 * Every picture of a generated video is made here, so the page and the command write the same bytes.
 */
export function toBytes(values: Float32Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) bytes[i] = Math.min(255, Math.max(0, Math.floor(values[i] * 255)));
  return bytes;
}
