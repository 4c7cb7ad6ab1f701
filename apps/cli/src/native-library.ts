/** Functions of the machine's own libraries, called without anything having to be compiled. */
import type { DataType } from 'ffi-rs';

export type NativeType = (typeof DataType)[keyof typeof DataType];

interface NativeLibrary {
  readonly types: typeof DataType;
  call(name: string, returns: NativeType, takes: readonly NativeType[], values: readonly unknown[]): number;
  /** The same in a thread of its own. */
  callAside(
    name: string,
    returns: NativeType,
    takes: readonly NativeType[],
    values: readonly unknown[],
  ): Promise<number>;
}

/** @throws where the library is not there, or cannot be called on this system. */
export async function openLibrary(path: string): Promise<NativeLibrary> {
  const { DataType: types, load, open } = await import('ffi-rs');
  open({ library: path, path });
  const parameters = (
    funcName: string,
    retType: NativeType,
    takes: readonly NativeType[],
    values: readonly unknown[],
  ) => ({ library: path, funcName, retType, paramsType: [...takes], paramsValue: [...values] });
  return {
    types,
    call: (...given) => load(parameters(...given)) as number,
    callAside: async (...given) => (await load({ ...parameters(...given), runInNewThread: true })) as number,
  };
}

/** The C library of Linux. */
export const openLibc = (): Promise<NativeLibrary> => openLibrary('libc.so.6');
