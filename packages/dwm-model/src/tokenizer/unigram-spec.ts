/**
 * What a unigram tokenizer is, whichever file it came from: scored pieces, the normalisation of text before
 * them, and the ids with a meaning of their own. `spiece.model` and `tokenizer.json` are both read into this.
 */
import { InvalidFileError } from '@dwm/core-tensor';

/** SentencePiece's piece types; only normal and user-defined pieces are ever looked for in text. */
export type PieceType = 'normal' | 'unknown' | 'control' | 'user-defined' | 'unused' | 'byte';

export interface Piece {
  readonly text: string;
  /** Log probability (natural logarithm). */
  readonly score: number;
  readonly type: PieceType;
}

/** SentencePiece's `NormalizerSpec`, plus the one trainer flag that changes normalisation. */
export interface NormalizerSpec {
  /** The character map blob: trie size (uint32), double-array trie, replacement strings; empty: none. */
  readonly precompiledCharsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
  /** The dummy space goes after the text instead of before it. */
  readonly treatWhitespaceAsSuffix: boolean;
}

/** A token matched in the raw text, before normalisation. */
export interface AddedToken {
  readonly content: string;
  readonly id: number;
  /** The token swallows the white space on its left. */
  readonly lstrip: boolean;
  /** The token swallows the white space on its right. */
  readonly rstrip: boolean;
  /** `decode` leaves it out. */
  readonly special: boolean;
}

export interface UnigramSpec {
  /** Where it was read from, for errors found only while encoding. */
  readonly file: string;
  /** Index = id. */
  readonly pieces: readonly Piece[];
  readonly normalizer: NormalizerSpec;
  readonly byteFallback: boolean;
  readonly unkId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly addedTokens: readonly AddedToken[];
}

/** `<0x00>` to `<0xFF>`: the name of the piece that stands for one byte. */
export function bytePieceName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

/**
 * Checks what every unigram vocabulary must hold: non-empty distinct pieces with finite scores, and with
 * byte fallback all 256 byte pieces.
 * @throws InvalidFileError naming the first piece that is wrong
 */
export function validatePieces(
  pieces: readonly Piece[],
  byteFallback: boolean,
  field: string,
  file: string,
): void {
  if (pieces.length === 0) {
    throw new InvalidFileError(file, `${field} is empty, expected a unigram vocabulary`, { field });
  }
  const seen = new Map<string, number>();
  for (let id = 0; id < pieces.length; id++) {
    const { text, score } = pieces[id];
    const where = `${field}[${id}]`;
    if (text === '') {
      throw new InvalidFileError(file, `${where} is an empty piece, expected at least one character`, {
        field: where,
      });
    }
    if (!Number.isFinite(score)) {
      throw new InvalidFileError(file, `${where} has score ${score}, expected a finite number`, {
        field: where,
      });
    }
    if (seen.has(text)) {
      throw new InvalidFileError(
        file,
        `${where} repeats the piece ${JSON.stringify(text)} of id ${seen.get(text)}, expected distinct pieces`,
        { field: where },
      );
    }
    seen.set(text, id);
  }
  if (!byteFallback) return;
  for (let byte = 0; byte < 256; byte++) {
    if (!seen.has(bytePieceName(byte))) {
      throw new InvalidFileError(
        file,
        `byte_fallback is on but ${field} lacks the piece ${bytePieceName(byte)}, expected all 256`,
        { field },
      );
    }
  }
}
