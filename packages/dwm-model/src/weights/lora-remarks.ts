/** What whoever uses a LoRA has to know of its merge, in words. */
import type { MergedLora } from './merge-lora.ts';

/** Names of tensors in a line. */
const SHOWN = 8;

/**
 * What a merge has to tell, a line each: how updates were weighted where that is not plainly B·A, whose alpha was not
 * used, and the first of the tensors that found no place.
 * @param experiment alpha in the experiment file, and what the file is called.
 */
export function loraRemarks(
  { scales, differences, unused, warnings }: MergedLora,
  experiment?: { readonly file: string; readonly alpha: number },
): { readonly warnings: string[]; readonly notes: string[] } {
  const notes: string[] = [];
  const all = [...warnings];
  const round = (x: number) => Number(x.toPrecision(4));
  for (const { alpha, rank, factor, source, layers } of scales) {
    const of = scales.length > 1 ? ` in ${layers} layers` : '';
    if (source !== undefined && factor !== 1) {
      notes.push(
        `LoRA: alpha ${round(alpha)} of rank ${rank}${of}, as ${source} says: B·A counts ${round(factor)} times`,
      );
    }
    if (!experiment || experiment.alpha === alpha) continue;
    const differs = `lora_alpha ${experiment.alpha} in ${experiment.file} differs from`;
    all.push(
      source === undefined
        ? `${differs} the rank ${rank} in the file${of}; alpha is set to the rank`
        : `${differs} alpha ${round(alpha)}${of} that ${source} says; the latter is used`,
    );
  }
  if (differences > 0)
    notes.push(`LoRA: a difference is added to ${differences} tensor${differences === 1 ? '' : 's'}`);
  if (unused.length > 0) {
    const [belong, are] = unused.length === 1 ? ['belongs', 'is'] : ['belong', 'are'];
    const more = unused.length > SHOWN ? ` and ${unused.length - SHOWN} others` : '';
    all.push(
      `LoRA: ${unused.slice(0, SHOWN).join(', ')}${more} ${belong} to nothing in this network and ${are} left out`,
    );
  }
  return { warnings: all, notes };
}
