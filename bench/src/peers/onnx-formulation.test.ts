import { expect, test } from 'vitest';
import { refuse } from './onnx-formulation.ts';

test('what a provider cannot run is said in words of ours, all else as it is', () => {
  const theirs =
    'This session contains graph nodes that are assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled by the user.';
  expect(() => refuse(new Error(theirs))).toThrow(/^has a node for the CPU only$/);
  expect(() => refuse(new Error('out of memory'))).toThrow(/^out of memory$/);
});
