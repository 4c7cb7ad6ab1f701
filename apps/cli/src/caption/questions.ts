/** What is asked: a caption for the frames of a clip, or a caption in other words. */
import { join } from 'node:path';
import { isObject } from '@dwm/core-tensor/files';
import { readRegularText } from '@dwm/core-tensor/node';
import { encodePng, type Frames, frameAt } from '@dwm/media/node';
import type { Content, Message } from './endpoint.ts';

/** Instructions where the user brings none. */
export const INSTRUCTIONS = {
  egocentric: `Say what happens in this video, seen through the eyes of the person who acts ("my right hand ...").
First the place: surfaces, objects, light. Then, in order, what the hands do and how the objects change:
opened or closed, moved, lifted, put down. Only what can be seen: no guesses, no feelings. One paragraph.`,
  third_person: `The person in this video is "I". Say in the first person what I do with my hands, and how the objects
change. No room, no camera, nothing that cannot be seen. One short paragraph of plain text.`,
  rewrite: `Rewrite this description of a video so that a model can make the video from it.
Begin with what is seen, not with "the video shows". Leave out feelings, and what is said not to be there.
Keep who acts, what they do in order, the objects and their states, the place and the view, if they are named.
Invent nothing. Answer with JSON alone:
{"rewritten description": "..."}`,
} as const;

/** Frames of a clip of `count`: as the original's script spreads them. */
export function sampledFrames(count: number, wanted: number): number[] {
  if (wanted <= 1) return [0];
  return Array.from({ length: wanted }, (_, i) => {
    const at = (i * (count - 1)) / (wanted - 1);
    return at % 1 === 0.5 ? 2 * Math.round(at / 2) : Math.round(at);
  });
}

interface Context {
  /** A caption from another view. */
  readonly prompt?: string;
  readonly hints: readonly string[];
}

/** `Frame1: <picture>` …, then the instructions, then what is known besides. */
export async function captionQuestion(
  clip: Frames,
  instructions: string,
  context: Context,
): Promise<Message[]> {
  const content: Content[] = [];
  for (let i = 0; i < clip.frames; i++) {
    const png = Buffer.from(await encodePng(frameAt(clip, i))).toString('base64');
    content.push({ type: 'text', text: `Frame${i + 1}: ` });
    content.push({ type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } });
  }
  const known = [context.prompt?.trim(), context.hints.join(' ; ')].filter(Boolean);
  const reference =
    known.length === 0
      ? ''
      : `\n\nWhat is known of the actions, to be told in your own words and not mentioned:\n${known.join('\n')}`;
  content.push({ type: 'text', text: `${instructions.trim()}${reference}` });
  return [{ role: 'user', content }];
}

export const rewriteQuestion = (prompt: string, instructions: string): Message[] => [
  { role: 'system', content: 'You are a helpful assistant.' },
  { role: 'user', content: `${instructions.trim()}\n${prompt}` },
];

/** The text of `{"rewritten description": "…"}` somewhere in an answer; undefined where there is none. */
export function rewritten(answer: string): string | undefined {
  const [json] = /\{[\s\S]*\}/.exec(answer) ?? [];
  try {
    const found: unknown = JSON.parse(json ?? '');
    const text = isObject(found) ? found['rewritten description'] : undefined;
    if (typeof text !== 'string') return undefined;
    const plain = text.trim();
    return plain === '' || plain === '...' || plain === 'your rewritten description here' ? undefined : plain;
  } catch {
    return undefined;
  }
}

/** The text of a caption file: plain, or JSON with `prompt`, or with `environment` and `action`. */
export async function readInput(path: string): Promise<string | undefined> {
  const text = (await readRegularText(path)).trim();
  if (!path.endsWith('.json')) return text || undefined;
  const json: unknown = JSON.parse(text);
  if (!isObject(json)) return String(json).trim() || undefined;
  const words = (key: string) => (typeof json[key] === 'string' ? (json[key] as string).trim() : '');
  if (words('prompt')) return words('prompt');
  if (words('environment') && words('action')) {
    return JSON.stringify({ environment: words('environment'), action: words('action') }, undefined, 2);
  }
  return Object.keys(json).map(words).find(Boolean);
}

/** What is known of a clip besides its frames: a caption from the third person, and the dataset's words for actions. */
export async function contextOf(
  video: { readonly folder: string; readonly action: string; readonly stem: string },
  from: {
    readonly thirdPrompts?: string;
    readonly actionsRoot?: string;
    readonly clipLength: number;
    readonly clipStride: number;
    readonly frameSkip: number;
  },
): Promise<Context> {
  const hints: string[] = [];
  let prompt: string | undefined;
  if (from.thirdPrompts) {
    try {
      const json: unknown = JSON.parse(
        await readRegularText(join(video.folder, from.thirdPrompts, `${video.stem}.json`)),
      );
      if (isObject(json)) {
        if (typeof json.prompt === 'string') prompt = json.prompt;
        if (Array.isArray(json.action_hints))
          hints.push(...json.action_hints.map((hint) => String(hint).trim()));
      }
    } catch {
      // A clip without words from another view is described without them.
    }
  }
  if (from.actionsRoot && /^\d+$/.test(video.stem)) {
    const text = await readRegularText(join(from.actionsRoot, `${video.action}.txt`)).catch(() => '');
    const first = Number(video.stem) * from.clipStride * from.frameSkip;
    const last = first + (from.clipLength - 1) * from.frameSkip;
    const overlaps = text.split(/\r?\n/).flatMap((line) => {
      const [start, end, words] = line.trim().split('\t');
      if (!/^\d+$/.test(start) || !/^\d+$/.test(end ?? '') || !words?.trim()) return [];
      const shared = Math.min(last, Number(end)) - Math.max(first, Number(start)) + 1;
      return shared > 0 ? [{ shared, words: words.trim() }] : [];
    });
    // The longest first; equal ones as they come.
    hints.push(...overlaps.sort((a, b) => b.shared - a.shared).map(({ words }) => words));
  }
  return { prompt, hints: [...new Set(hints.filter(Boolean))] };
}
