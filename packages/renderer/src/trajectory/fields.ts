/**
 * Walks a parsed JSON value and remembers the way, so that whatever is wrong is reported in one line with the
 * file, the field's path and what was expected there.
 */
import { InvalidFileError } from '@dwm/core-tensor';
import { type Quaternion, unit, type Vec3 } from '../camera/rotation.ts';

/** A text file held in memory; `name` is what errors call it. */
export interface TextFile {
  readonly name: string;
  readonly text: string;
}

/** A value of a JSON file, and where it is; what is read of it is checked. */
export class Field {
  readonly file: string;
  /** E.g. `frames[3].hands.left`; empty for the whole file. */
  readonly path: string;
  readonly value: unknown;

  constructor(file: string, path: string, value: unknown) {
    this.file = file;
    this.path = path;
    this.value = value;
  }

  /** @throws InvalidFileError where the text is not JSON. */
  static parse({ name, text }: TextFile, path = ''): Field {
    try {
      return new Field(name, path, JSON.parse(text.replace(/^\uFEFF/, '')));
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/\s+/g, ' ').slice(0, 160) : '';
      throw new InvalidFileError(name, `${path ? `${path}: ` : ''}not valid JSON (${reason})`);
    }
  }

  error(expected: string): InvalidFileError {
    const shown = this.value === undefined ? 'missing' : summary(this.value);
    return new InvalidFileError(this.file, `${this.path || 'content'}: ${shown}, expected ${expected}`, {
      field: this.path,
      expected,
    });
  }

  /** Missing and null are the same: not there. */
  get absent(): boolean {
    return this.value === undefined || this.value === null;
  }

  get(key: string): Field {
    const values = this.object();
    const value = Object.hasOwn(values, key) ? values[key] : undefined;
    return new Field(this.file, this.path ? `${this.path}.${key}` : key, value);
  }

  /** Names and values. */
  object(): Readonly<Record<string, unknown>> {
    if (typeof this.value !== 'object' || this.value === null || Array.isArray(this.value))
      throw this.error('an object');
    return this.value as Record<string, unknown>;
  }

  /** @param count exact length, where there is one. */
  items(count?: number, of = 'values'): Field[] {
    const expected = count === undefined ? `an array of ${of}` : `an array of ${count} ${of}`;
    if (!Array.isArray(this.value) || (count !== undefined && this.value.length !== count))
      throw this.error(expected);
    return this.value.map((value, i) => new Field(this.file, `${this.path}[${i}]`, value));
  }

  number(expected = 'a finite number'): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value)) throw this.error(expected);
    return this.value;
  }

  positive(): number {
    const expected = 'a positive number';
    const value = this.number(expected);
    if (value <= 0) throw this.error(expected);
    return value;
  }

  /** A size in pixels. */
  size(): number {
    const expected = 'a whole number of pixels from 1 to 65536';
    const value = this.number(expected);
    if (!Number.isInteger(value) || value < 1 || value > 65536) throw this.error(expected);
    return value;
  }

  numbers(count: number): Float64Array {
    const { value } = this;
    if (!Array.isArray(value) || value.length !== count || !value.every(Number.isFinite))
      throw this.error(`${count} finite numbers`);
    return Float64Array.from(value as number[]);
  }

  boolean(): boolean {
    if (typeof this.value !== 'boolean') throw this.error('true or false');
    return this.value;
  }

  text(): string {
    if (typeof this.value !== 'string') throw this.error('a string');
    return this.value;
  }

  /** {x, y, z}, as browsers write points. */
  point(): Vec3 {
    return [this.get('x').number(), this.get('y').number(), this.get('z').number()];
  }

  /** {x, y, z, w}, brought to length one. */
  quaternion(): Quaternion {
    const rotation = unit([...this.point(), this.get('w').number()]);
    if (!rotation) throw this.error('a quaternion of length 1');
    return rotation;
  }

  /** Four numbers in this order, brought to length one. */
  quaternionWxyz(): Quaternion {
    const [w, x, y, z] = this.numbers(4);
    const rotation = unit([x, y, z, w]);
    if (!rotation) throw this.error('a quaternion of length 1');
    return rotation;
  }
}

function summary(value: unknown): string {
  if (Array.isArray(value)) {
    const wrong = value.findIndex((item) => typeof item !== 'number' || !Number.isFinite(item));
    const detail = wrong >= 0 && typeof value[0] === 'number' ? `, ${summary(value[wrong])} at ${wrong}` : '';
    return `an array of ${value.length}${detail}`;
  }
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
