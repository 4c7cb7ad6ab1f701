/** Where the words that the model is told come from: whoever typed them wins, else what is known of the hands. */
export type WordsFrom = 'typed' | 'room' | 'motion' | 'file' | 'none';

/** Said beside the words. */
export const WORDS_FROM: Readonly<Record<WordsFrom, string>> = {
  typed: 'Your own words.',
  room: "What the room's own motion does.",
  motion: 'What your motion does to the room, as the simulation has it.',
  file: 'From the text file that came with your videos.',
  none: 'No words: the page cannot know what happens here. Type some if you like.',
};
