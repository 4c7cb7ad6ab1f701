/** Which words go with the clips of a judgement: whether a model obeys hands shows where words cannot answer. */

export const CAPTIONS = ['own', 'same', 'none'] as const;
export type Captions = (typeof CAPTIONS)[number];

/**
 * @param own what the clip itself does.
 * @param same the words for what the room is about, which all its clips get under `same`.
 */
export const captionFor = (captions: Captions, own: string, same: string): string =>
  ({ own, same, none: '' })[captions];
