/** Where the words that the model is told come from: whoever typed them wins, else what is known of the hands. */
import type { Trajectory } from '@dwm/renderer';
import type { RoomInfo } from '../worker/protocol.ts';
import type { Task } from './tasks.ts';

export type WordsFrom = 'typed' | 'room' | 'motion' | 'file' | 'none';

export interface Told {
  readonly text: string;
  readonly from: WordsFrom;
}

/** Said beside the words. */
export const WORDS_FROM: Readonly<Record<WordsFrom, string>> = {
  typed: 'Your own words.',
  room: "What the room's own motion does.",
  motion: 'What your motion does to the room, as the simulation has it.',
  file: 'From the text file that came with your videos.',
  none: 'No words: the page cannot know what happens here. Type some if you like.',
};

/** Of a motion in a room. @param asSaid it does what the room's own words say. */
export async function wordsOf(
  task: Task,
  room: RoomInfo,
  trajectory: Trajectory,
  asSaid: boolean,
): Promise<Told> {
  if (asSaid && room.caption) return { text: room.caption, from: 'room' };
  task.say('Looking at what the hand does …');
  const told = await task.call('describe', { trajectory });
  return told === undefined ? { text: '', from: 'none' } : { text: told, from: 'motion' };
}

/** Of a visitor's two videos. */
export const wordsOfVideos = ({ caption = '' }: { readonly caption?: string }): Told => ({
  text: caption,
  from: caption ? 'file' : 'none',
});
