/**
 * Reads `spiece.model`, SentencePiece's `ModelProto`, into a `UnigramSpec`. Field numbers and defaults are
 * those of sentencepiece_model.proto (https://github.com/google/sentencepiece, v0.2.0).
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type ProtoField, readMessage } from './protobuf.ts';
import {
  type AddedToken,
  type NormalizerSpec,
  type Piece,
  type PieceType,
  type UnigramSpec,
  validatePieces,
} from './unigram-spec.ts';

const PIECE_TYPES: Readonly<Record<number, PieceType>> = {
  1: 'normal',
  2: 'unknown',
  3: 'control',
  4: 'user-defined',
  5: 'unused',
  6: 'byte',
};
const MODEL_TYPES: Readonly<Record<number, string>> = { 1: 'unigram', 2: 'BPE', 3: 'word', 4: 'char' };

/** Wire type of the fields read here; a field with another one is a damaged file. */
const VARINT = 0;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

interface TrainerSpec {
  modelType: number;
  treatWhitespaceAsSuffix: boolean;
  byteFallback: boolean;
  eosId: number;
  padId: number;
  eosPiece: string;
  padPiece: string;
}

/**
 * @param bytes the whole file
 * @param file its name, for errors
 * @param extraIds how many sentinels `<extra_id_0>`, `<extra_id_1>`, ... follow the pieces, the last one
 *   first, as T5 numbers them; `plain` for no special tokens in texts at all
 * @throws InvalidFileError if the file is damaged, is not a unigram model, or has no unknown, end or padding
 *   piece
 */
export function readSpieceModel(bytes: Uint8Array, file: string, extraIds: number | 'plain'): UnigramSpec {
  const pieces: Piece[] = [];
  let trainer = readTrainerSpec(new Uint8Array(0), file);
  let normalizerBytes: Uint8Array = new Uint8Array(0);
  // The outer records first: a truncated file is found out before its pieces are decoded.
  for (const field of [...readMessage(bytes, file, 'ModelProto')]) {
    if (field.number === 1) pieces.push(readPiece(field, pieces.length, file));
    else if (field.number === 2) trainer = readTrainerSpec(embedded(field, 'trainer_spec', file), file);
    else if (field.number === 3) normalizerBytes = embedded(field, 'normalizer_spec', file);
  }
  if (trainer.modelType !== 1) {
    const type = MODEL_TYPES[trainer.modelType] ?? String(trainer.modelType);
    throw new InvalidFileError(
      file,
      `trainer_spec.model_type is ${type}, expected unigram; use the spiece.model of a T5 checkpoint`,
      { field: 'trainer_spec.model_type', expected: 'unigram', actual: type },
    );
  }
  validatePieces(pieces, trainer.byteFallback, 'pieces', file);

  const unknown = pieces.flatMap((piece, id) => (piece.type === 'unknown' ? [id] : []));
  if (unknown.length !== 1) {
    throw new InvalidFileError(
      file,
      `pieces hold ${unknown.length} of type UNKNOWN, expected exactly one; train the model with --unk_id`,
      { field: 'pieces', actual: unknown.length, expected: 1 },
    );
  }
  const [unkId] = unknown;
  const eosId = reservedId(pieces, 'eos', trainer.eosPiece, trainer.eosId, file);
  const padId = reservedId(pieces, 'pad', trainer.padPiece, trainer.padId, file);
  return {
    file,
    pieces,
    normalizer: readNormalizerSpec(normalizerBytes, trainer.treatWhitespaceAsSuffix, file),
    byteFallback: trainer.byteFallback,
    unkId,
    eosId,
    padId,
    addedTokens: extraIds === 'plain' ? [] : t5AddedTokens(pieces, [padId, eosId, unkId], extraIds),
  };
}

/** The tokens the T5 tokenizer adds to a SentencePiece model: its reserved pieces and the sentinels. */
function t5AddedTokens(pieces: readonly Piece[], reserved: number[], extraIds: number): AddedToken[] {
  const tokens: AddedToken[] = reserved.map((id) => ({
    content: pieces[id].text,
    id,
    lstrip: false,
    rstrip: false,
    special: true,
  }));
  for (let n = 0; n < extraIds; n++) {
    const id = pieces.length + extraIds - 1 - n;
    tokens.push({ content: `<extra_id_${n}>`, id, lstrip: true, rstrip: true, special: true });
  }
  return tokens;
}

/** A reserved piece is found by its name, as SentencePiece does, and by its id where the name is not there. */
function reservedId(pieces: readonly Piece[], role: string, name: string, id: number, file: string): number {
  const byName = pieces.findIndex((piece) => piece.text === name);
  const found = byName >= 0 ? byName : id;
  if (pieces[found]?.type !== 'control') {
    throw new InvalidFileError(
      file,
      `trainer_spec.${role}_id is ${id} and no control piece ${JSON.stringify(name)} exists, expected one; train the model with --${role}_id`,
      { field: `trainer_spec.${role}_id`, actual: id },
    );
  }
  return found;
}

function readPiece(field: ProtoField, index: number, file: string): Piece {
  const path = `pieces[${index}]`;
  let text = '';
  let score = 0;
  let type: PieceType = 'normal';
  for (const part of readMessage(embedded(field, path, file), file, path)) {
    if (part.number === 1) {
      text = utf8(embedded(part, `${path}.piece`, file), `${path}.piece`, file);
    } else if (part.number === 2) {
      expectWire(part, FIXED32, `${path}.score`, file);
      score = part.float;
    } else if (part.number === 3) {
      expectWire(part, VARINT, `${path}.type`, file);
      const known = PIECE_TYPES[part.int32];
      if (!known) {
        throw new InvalidFileError(file, `${path}.type is ${part.int32}, expected 1 to 6`, {
          field: `${path}.type`,
          actual: part.int32,
        });
      }
      type = known;
    }
  }
  return { text, score, type };
}

function readTrainerSpec(bytes: Uint8Array, file: string): TrainerSpec {
  const spec: TrainerSpec = {
    modelType: 1,
    treatWhitespaceAsSuffix: false,
    byteFallback: false,
    eosId: 2,
    padId: -1,
    eosPiece: '</s>',
    padPiece: '<pad>',
  };
  for (const field of readMessage(bytes, file, 'trainer_spec')) {
    const int = (name: string) => {
      expectWire(field, VARINT, `trainer_spec.${name}`, file);
      return field.int32;
    };
    const text = (name: string) =>
      utf8(embedded(field, `trainer_spec.${name}`, file), `trainer_spec.${name}`, file);
    if (field.number === 3) spec.modelType = int('model_type');
    else if (field.number === 24) spec.treatWhitespaceAsSuffix = int('treat_whitespace_as_suffix') !== 0;
    else if (field.number === 35) spec.byteFallback = int('byte_fallback') !== 0;
    else if (field.number === 42) spec.eosId = int('eos_id');
    else if (field.number === 43) spec.padId = int('pad_id');
    else if (field.number === 47) spec.eosPiece = text('eos_piece') || spec.eosPiece;
    else if (field.number === 48) spec.padPiece = text('pad_piece') || spec.padPiece;
  }
  return spec;
}

function readNormalizerSpec(
  bytes: Uint8Array,
  treatWhitespaceAsSuffix: boolean,
  file: string,
): NormalizerSpec {
  let precompiledCharsmap: Uint8Array = new Uint8Array(0);
  const flags = { addDummyPrefix: true, removeExtraWhitespaces: true, escapeWhitespaces: true };
  for (const field of readMessage(bytes, file, 'normalizer_spec')) {
    const bool = (name: string) => {
      expectWire(field, VARINT, `normalizer_spec.${name}`, file);
      return field.int32 !== 0;
    };
    if (field.number === 2) {
      precompiledCharsmap = embedded(field, 'normalizer_spec.precompiled_charsmap', file);
    } else if (field.number === 3) flags.addDummyPrefix = bool('add_dummy_prefix');
    else if (field.number === 4) flags.removeExtraWhitespaces = bool('remove_extra_whitespaces');
    else if (field.number === 5) flags.escapeWhitespaces = bool('escape_whitespaces');
  }
  return { precompiledCharsmap, ...flags, treatWhitespaceAsSuffix };
}

function expectWire(field: ProtoField, wireType: number, path: string, file: string): void {
  if (field.wireType === wireType) return;
  throw new InvalidFileError(
    file,
    `${path} has protobuf wire type ${field.wireType}, expected ${wireType}; this is not a SentencePiece model or it is damaged`,
    { field: path, actual: field.wireType, expected: wireType },
  );
}

function embedded(field: ProtoField, path: string, file: string): Uint8Array {
  expectWire(field, LENGTH_DELIMITED, path, file);
  return field.bytes;
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array, path: string, file: string): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new InvalidFileError(file, `${path} is not UTF-8 text; download the file again`, { field: path });
  }
}
