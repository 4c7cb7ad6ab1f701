/**
 * A pickle machine that can only build tensors. Real pickles may name any function and have it called; this
 * one knows three names of its own, runs nothing from outside, and refuses every other by name. Protocol 2 to 5,
 * as far as `torch.save` writes them. Opcodes: Python's `pickletools`.
 */
import { InvalidFileError } from '../../errors.ts';
import { quote } from '../../text.ts';

/** A storage that the pickle refers to: the type's name and the entry that holds the bytes. */
interface StorageRef {
  readonly type: string;
  readonly key: string;
  readonly elements: number;
}

/** A strided view of a storage; offset and strides in elements. */
export interface TensorRef {
  readonly storage: StorageRef;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

const MARK = Symbol('mark');

/** A name of `torch` that may stand in a pickle. Compared by identity: nothing is ever called. */
class Known {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

class Tensor {
  readonly ref: TensorRef;
  constructor(ref: TensorRef) {
    this.ref = ref;
  }
}

class Storage {
  readonly ref: StorageRef;
  constructor(ref: StorageRef) {
    this.ref = ref;
  }
}

const REBUILD = 'torch._utils _rebuild_tensor_v2';
const PARAMETER = 'torch._utils _rebuild_parameter';
const ORDERED = 'collections OrderedDict';
const ALLOWED = /^(torch._utils _rebuild_tensor_v2|torch._utils _rebuild_parameter|collections OrderedDict)$/;
const STORAGE = /^torch (Float|Half|BFloat16|Double|Long)Storage$/;

/** Far more than a state dict needs; bounds the work on hostile files. */
const MAX_STACK = 1 << 20;

/**
 * Tensors by name: of a dict its entries (nested ones joined by dots), of a bare tensor one called ''.
 * @throws InvalidFileError naming what the pickle would have called, or the byte at which it is damaged.
 */
export function readTensorPickle(file: string, bytes: Uint8Array): Map<string, TensorRef> {
  const found = new Map<string, TensorRef>();
  let visited = 0;
  const collect = (value: unknown, name: string, depth: number) => {
    // Dictionaries may hold one another many times over, or themselves.
    if (depth > 16 || ++visited > MAX_STACK) {
      throw new InvalidFileError(file, 'nests dictionaries too deeply for a file of tensors');
    }
    if (value instanceof Tensor) found.set(name, value.ref);
    if (!(value instanceof Map)) return;
    for (const [key, item] of value) {
      if (typeof key === 'string') collect(item, name === '' ? key : `${name}.${key}`, depth + 1);
    }
  };
  collect(new Machine(file, bytes).run(), '', 0);
  return found;
}

class Machine {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();
  #at = 0;

  constructor(file: string, bytes: Uint8Array) {
    this.#file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): unknown {
    for (;;) {
      const at = this.#at;
      const op = this.#u8();
      if (op === 0x2e) return this.#pop(); // STOP
      this.#step(op, at);
      if (this.#stack.length > MAX_STACK) throw this.#bad('its pickle grows without end');
    }
  }

  #step(op: number, at: number): void {
    const push = (value: unknown) => this.#stack.push(value);
    switch (op) {
      case 0x80: // PROTO
        if (this.#u8() > 5) throw this.#bad('is pickled by a protocol above 5');
        return;
      case 0x95: // FRAME
        this.#take(8);
        return;
      case 0x28: // MARK
        push(MARK);
        return;
      case 0x30: // POP
        this.#pop();
        return;
      case 0x4e: // NONE
        push(null);
        return;
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        push(op === 0x88);
        return;
      case 0x4b: // BININT1
        push(this.#u8());
        return;
      case 0x4d: // BININT2
        push(this.#take(2).getUint16(0, true));
        return;
      case 0x4a: // BININT
        push(this.#take(4).getInt32(0, true));
        return;
      case 0x8a: // LONG1
        push(this.#long(this.#u8()));
        return;
      case 0x47: // BINFLOAT
        push(this.#take(8).getFloat64(0));
        return;
      case 0x8c: // SHORT_BINUNICODE
        push(this.#text(this.#u8()));
        return;
      case 0x58: // BINUNICODE
        push(this.#text(this.#take(4).getUint32(0, true)));
        return;
      case 0x7d: // EMPTY_DICT
        push(new Map());
        return;
      case 0x5d: // EMPTY_LIST
        push([]);
        return;
      case 0x29: // EMPTY_TUPLE
        push([]);
        return;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: {
        // TUPLE3
        const items = Array.from({ length: op - 0x84 }, () => this.#pop()).reverse();
        push(items);
        return;
      }
      case 0x74: // TUPLE
        push(this.#toMark());
        return;
      case 0x61: {
        // APPEND
        const item = this.#pop();
        this.#list().push(item);
        return;
      }
      case 0x65: {
        // APPENDS
        const items = this.#toMark();
        const list = this.#list();
        for (const item of items) list.push(item);
        return;
      }
      case 0x73: {
        // SETITEM
        const value = this.#pop();
        const key = this.#pop();
        this.#dict().set(key, value);
        return;
      }
      case 0x75: {
        // SETITEMS
        const items = this.#toMark();
        const dict = this.#dict();
        for (let i = 0; i + 1 < items.length; i += 2) dict.set(items[i], items[i + 1]);
        return;
      }
      case 0x71: // BINPUT
        this.#memo.set(this.#u8(), this.#top());
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#take(4).getUint32(0, true), this.#top());
        return;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x68: // BINGET
        push(this.#remembered(this.#u8()));
        return;
      case 0x6a: // LONG_BINGET
        push(this.#remembered(this.#take(4).getUint32(0, true)));
        return;
      case 0x63: // GLOBAL
        push(this.#known(this.#line(), this.#line()));
        return;
      case 0x93: {
        // STACK_GLOBAL
        const name = this.#pop();
        push(this.#known(String(this.#pop()), String(name)));
        return;
      }
      case 0x51: // BINPERSID
        push(this.#persistent(this.#pop()));
        return;
      case 0x52: {
        // REDUCE
        const args = this.#pop();
        push(this.#build(this.#pop(), args));
        return;
      }
      case 0x62: {
        // BUILD: attributes of a state dict (`_metadata`), which say nothing about tensors.
        this.#pop();
        if (!(this.#top() instanceof Map))
          throw this.#bad('gives attributes to something that is not a dictionary');
        return;
      }
      default:
        throw this.#bad(
          `its pickle has opcode 0x${op.toString(16)} at byte ${at}, which files of tensors do not need`,
        );
    }
  }

  #known(module: string, name: string): Known {
    const full = `${module} ${name}`;
    if (!ALLOWED.test(full) && !STORAGE.test(full)) {
      throw new InvalidFileError(
        this.#file,
        `its pickle asks for ${quote(`${module}.${name}`)}, which is not a tensor; nothing was run. Save tensors only, or convert the file to safetensors`,
        { field: `${module}.${name}` },
      );
    }
    return new Known(full);
  }

  #persistent(id: unknown): Storage {
    const [kind, type, key, , elements] = Array.isArray(id) ? id : [];
    const whole = typeof elements === 'number' && Number.isSafeInteger(elements) && elements >= 0;
    if (kind !== 'storage' || !(type instanceof Known) || !STORAGE.test(type.name) || !whole) {
      throw this.#bad('refers to something that is not a storage of numbers');
    }
    if (typeof key !== 'string' || !/^\w+$/.test(key))
      throw this.#bad(`names a storage ${quote(String(key))}`);
    return new Storage({ type: type.name.slice('torch '.length, -'Storage'.length), key, elements });
  }

  #build(fn: unknown, args: unknown): unknown {
    const list = Array.isArray(args) ? args : [];
    const name = fn instanceof Known ? fn.name : undefined;
    if (name === ORDERED) {
      const pairs = Array.isArray(list[0]) ? list[0] : [];
      return new Map(
        pairs.filter((pair) => Array.isArray(pair) && pair.length === 2) as [unknown, unknown][],
      );
    }
    if (name === PARAMETER && list[0] instanceof Tensor) return list[0];
    const [storage, offset, shape, strides] = list;
    if (name !== REBUILD || !(storage instanceof Storage))
      throw this.#bad('builds something that is not a tensor');
    const sizes = (value: unknown): value is number[] =>
      Array.isArray(value) && value.length <= 16 && value.every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!sizes([offset]) || !sizes(shape) || !sizes(strides) || shape.length !== strides.length) {
      throw this.#bad('has a tensor whose offset, shape or strides are not whole numbers');
    }
    return new Tensor({ storage: storage.ref, offset: offset as number, shape, strides });
  }

  #bad(problem: string): InvalidFileError {
    return new InvalidFileError(this.#file, `${problem}; expected a file of tensors written by torch.save`);
  }

  #take(count: number): DataView {
    const from = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.length)
      throw this.#bad(`its pickle ends at byte ${this.#bytes.length}, in the middle of a value`);
    return new DataView(this.#view.buffer, this.#view.byteOffset + from, count);
  }

  #u8(): number {
    return this.#take(1).getUint8(0);
  }

  #text(length: number): string {
    const { buffer, byteOffset } = this.#take(length);
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset, length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw this.#bad('its pickle ends in the middle of a name');
    const text = this.#text(end - this.#at);
    this.#at = end + 1;
    return text;
  }

  #long(length: number): number {
    const view = this.#take(length);
    if (length > 8) throw this.#bad('holds a whole number too large for a size');
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(view.getUint8(i));
    return Number(BigInt.asIntN(8 * length, value));
  }

  #pop(): unknown {
    if (this.#stack.length === 0) throw this.#bad('its pickle takes more values than it has');
    return this.#stack.pop();
  }

  #top(): unknown {
    if (this.#stack.length === 0) throw this.#bad('its pickle takes more values than it has');
    return this.#stack[this.#stack.length - 1];
  }

  #toMark(): unknown[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw this.#bad('its pickle closes a list that it never opened');
    const items = this.#stack.splice(mark);
    return items.slice(1);
  }

  #list(): unknown[] {
    const list = this.#top();
    if (!Array.isArray(list)) throw this.#bad('its pickle appends to something that is not a list');
    return list;
  }

  #dict(): Map<unknown, unknown> {
    const dict = this.#top();
    if (!(dict instanceof Map))
      throw this.#bad('its pickle sets an item of something that is not a dictionary');
    return dict;
  }

  #remembered(index: number): unknown {
    if (!this.#memo.has(index)) throw this.#bad(`its pickle recalls value ${index}, which it never stored`);
    return this.#memo.get(index);
  }
}
