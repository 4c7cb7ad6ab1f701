import { expect, test } from 'vitest';
import { checkGoal } from './goal.ts';

test('one goal, and for words a text-image model', () => {
  checkGoal({ goal: 'open.png', lpips: 'weights' });
  checkGoal({ goalText: 'the drawer is open', textImageModel: 'clip' });
});

test.each([
  [{}, /^goal: expected --goal or --goal-text, got neither$/],
  [{ goalText: '' }, /^goal: expected .*, got neither$/],
  [{ goal: 'open.png', goalText: 'open', textImageModel: 'clip' }, /^goal: expected .*, got both$/],
  [{ goal: 'open.png', textImageModel: 'clip' }, /^text-image-model: is for --goal-text/],
  [{ goalText: 'open' }, /^goal-text: needs --text-image-model with the folder of a CLIP model/],
  [{ goalText: 'open', textImageModel: 'clip', lpips: 'weights' }, /^lpips: compares pictures/],
])('%j is refused', (flags, message) => {
  expect(() => checkGoal(flags)).toThrow(message);
});
