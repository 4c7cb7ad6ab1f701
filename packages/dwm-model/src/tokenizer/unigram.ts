/**
 * The unigram language model: of all segmentations of a text into pieces, the one with the largest sum of
 * log probabilities (Kudo 2018, https://arxiv.org/abs/1804.10959), found by Viterbi over byte positions in
 * time linear in the text for pieces of bounded length.
 *
 * Sums are rounded to float32 after every piece and the first of two equal paths wins, as in SentencePiece's
 * optimised encoder: the ids must be its ids also where two paths differ by a rounding.
 */
import { ByteTrie } from './byte-trie.ts';
import { utf8Length } from './normalizer.ts';
import { bytePieceName, type UnigramSpec } from './unigram-spec.ts';

/** What a character without a piece costs below the rarest piece. */
const UNKNOWN_PENALTY = 10;
/** SentencePiece starts the search for the largest score here (C++ `numeric_limits<float>::min()`). */
const SMALLEST_NORMAL_FLOAT = 2 ** -126;

export class UnigramModel {
  private readonly trie = new ByteTrie();
  /** Per id; float32 values, except those of user-defined pieces, which SentencePiece has in double. */
  private readonly scores: Float64Array;
  private readonly unknownScore: number;
  private readonly unkId: number;
  /** Id of the piece of every byte, or null without byte fallback. */
  private readonly byteIds: Int32Array | null;

  constructor(spec: UnigramSpec) {
    const { pieces, unkId, byteFallback } = spec;
    let minScore = Number.POSITIVE_INFINITY;
    let maxScore = SMALLEST_NORMAL_FLOAT;
    for (const { type, score } of pieces) {
      if (type !== 'normal') continue;
      minScore = Math.min(minScore, Math.fround(score));
      maxScore = Math.max(maxScore, Math.fround(score));
    }
    // A vocabulary without normal pieces has no rarest one; every path is then unknown.
    if (minScore === Number.POSITIVE_INFINITY) minScore = 0;
    this.unknownScore = Math.fround(minScore - UNKNOWN_PENALTY);
    this.unkId = unkId;

    const utf8 = new TextEncoder();
    this.scores = new Float64Array(pieces.length);
    const idOf = new Map<string, number>();
    for (let id = 0; id < pieces.length; id++) {
      const { text, type, score } = pieces[id];
      if (type === 'byte') idOf.set(text, id);
      if (type !== 'normal' && type !== 'user-defined') continue;
      const key = utf8.encode(text);
      this.trie.add(key, id);
      // User-defined pieces get a score that beats any segmentation of the same bytes.
      this.scores[id] = type === 'normal' ? Math.fround(score) : Math.fround(key.length * maxScore) - 0.1;
    }
    this.byteIds = byteFallback
      ? Int32Array.from({ length: 256 }, (_, byte) => idOf.get(bytePieceName(byte)) ?? unkId)
      : null;
  }

  /**
   * Ids of the best segmentation of normalised UTF-8 `text`. A run of characters that no piece covers gives
   * one unknown id, or with byte fallback the ids of its bytes.
   */
  encode(text: Uint8Array): number[] {
    const { trie, scores } = this;
    const size = text.length;
    const bestScore = new Float32Array(size + 1);
    const bestId = new Int32Array(size + 1);
    const bestStart = new Int32Array(size + 1).fill(-1);
    const offer = (start: number, end: number, id: number, score: number): void => {
      if (bestStart[end] >= 0 && score <= bestScore[end]) return;
      bestScore[end] = score;
      bestStart[end] = start;
      bestId[end] = id;
    };

    for (let start = 0; start < size; ) {
      const characterEnd = Math.min(size, start + utf8Length(text[start]));
      let known = false;
      let node = 0;
      for (let end = start; end < size; ) {
        node = trie.step(node, text[end++]);
        if (node < 0) break;
        const id = trie.valueAt(node);
        if (id < 0) continue;
        offer(start, end, id, Math.fround(bestScore[start] + scores[id]));
        if (end === characterEnd) known = true;
      }
      if (!known) {
        offer(start, characterEnd, this.unkId, Math.fround(bestScore[start] + this.unknownScore));
      }
      start = characterEnd;
    }

    const ids: number[] = [];
    let end = size;
    while (end > 0) {
      const start = bestStart[end];
      if (bestId[end] !== this.unkId) {
        ids.push(bestId[end]);
      } else if (this.byteIds) {
        for (let i = end - 1; i >= start; i--) ids.push(this.byteIds[text[i]]);
      } else if (ids.at(-1) !== this.unkId) {
        ids.push(this.unkId);
      }
      end = start;
    }
    return ids.reverse();
  }
}
