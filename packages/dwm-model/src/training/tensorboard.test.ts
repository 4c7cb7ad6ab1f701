import { expect, test } from 'vitest';
import { crc32c, fileHeader, scalarEvent } from './tensorboard.ts';

test('CRC-32C of the standard check string', () => {
  expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
});

test('the header record names the file version', () => {
  const bytes = fileHeader(0);
  const view = new DataView(bytes.buffer);
  expect(view.getUint32(0, true)).toBe(24);
  expect(bytes.length).toBe(40);
  expect(new TextDecoder().decode(bytes.subarray(23, 36))).toBe('brain.Event:2');
});

test('a scalar event holds step, tag and value where the schema says', () => {
  const bytes = scalarEvent(1, 300, { loss: 0.5 });
  const event = bytes.subarray(12, bytes.length - 4);
  expect([...event.subarray(9, 12)]).toEqual([0x10, 0xac, 0x02]);
  const text = new TextDecoder('latin1').decode(event);
  expect(text).toContain('loss');
  const at = text.indexOf('loss') + 5;
  expect(new DataView(event.buffer, event.byteOffset).getFloat32(at, true)).toBe(0.5);
});
