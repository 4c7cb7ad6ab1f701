/** Encoder and decoder as lists of blocks: what the parameters' names and the networks both follow. */
import type { WanVaeConfig } from './config.ts';

export interface Block {
  readonly name: string;
  /** `down` halves the picture, `up` doubles it. */
  readonly kind: 'residual' | 'down' | 'up';
  readonly from: number;
  readonly to: number;
  /** Whether the frames are halved or doubled, too. */
  readonly inTime: boolean;
}

export interface Level {
  readonly to: number;
  readonly blocks: readonly Block[];
  /** Of the last block, where it changes the size. */
  readonly resizes: boolean;
  readonly inTime: boolean;
}

/** Names count through all blocks, or with shortcuts within a level. */
function namer(part: string, list: string, shortcuts: boolean) {
  let count = 0;
  return (level: number, index: number) =>
    shortcuts ? `${part}.${list}.${level}.${list}.${index}` : `${part}.${list}.${count++}`;
}

export function encoderBlocks({
  encoderWidth,
  encoderChannels,
  blocks,
  halvesFrames,
  shortcuts,
}: WanVaeConfig): readonly Level[] {
  const name = namer('encoder', 'downsamples', shortcuts);
  return encoderChannels.map((to, level) => {
    const from = level === 0 ? encoderWidth : encoderChannels[level - 1];
    const resizes = level < encoderChannels.length - 1;
    const inTime = resizes && halvesFrames[level];
    const made: Block[] = [];
    for (let i = 0; i < blocks; i++)
      made.push({ name: name(level, i), kind: 'residual', from: i === 0 ? from : to, to, inTime: false });
    if (resizes) made.push({ name: name(level, blocks), kind: 'down', from: to, to, inTime });
    return { to, blocks: made, resizes, inTime };
  });
}

/** From the smallest picture to the largest. */
export function decoderBlocks({
  decoderChannels,
  blocks,
  halvesFrames,
  shortcuts,
}: WanVaeConfig): readonly Level[] {
  const name = namer('decoder', 'upsamples', shortcuts);
  const channels = decoderChannels.toReversed();
  const doubles = halvesFrames.toReversed();
  let from = channels[0];
  return channels.map((to, level) => {
    const resizes = level < channels.length - 1;
    const inTime = resizes && doubles[level];
    const input = from;
    const made: Block[] = [];
    for (let i = 0; i <= blocks; i++)
      made.push({ name: name(level, i), kind: 'residual', from: i === 0 ? input : to, to, inTime: false });
    // Without shortcuts the doubling halves the channels.
    from = shortcuts ? to : to / 2;
    if (resizes) made.push({ name: name(level, blocks + 1), kind: 'up', from: to, to: from, inTime });
    return { to, blocks: made, resizes, inTime };
  });
}
