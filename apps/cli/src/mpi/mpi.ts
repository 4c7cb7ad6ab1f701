/**
 * The MPI library that is installed on this machine, as it is: called through a foreign-function interface, so that nothing
 * has to be compiled. OpenMPI, and all of MPICH's kind (Intel MPI, Cray MPICH, MVAPICH).
 */
import { DwmError, Turns } from '@dwm/core-tensor';
import type { Peers } from '@dwm/dwm-model/node';
import { type NativeType, openLibc, openLibrary } from '../native-library.ts';

/** By the names that Linux distributions and vendors install them under. */
const LIBRARIES = {
  OpenMPI: ['libmpi.so.40', 'libmpi.so.80', 'libmpi.so'],
  MPICH: ['libmpich.so.12', 'libmpi.so.12', 'libmpi_cray.so.12', 'libmpich.so'],
};

/** No library, or one that cannot be used. */
export class MpiError extends DwmError {}

/** Handles are the addresses of objects in OpenMPI, and numbers in MPICH, the same ones in all of its kind. */
const MPICH_HANDLES = { world: 0x44000000, byte: 0x4c00010d };

const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;
/** One thread at a time, whichever. */
const THREAD_SERIALIZED = 2;

export interface Mpi extends Peers {
  /** As the library calls itself, in short. */
  readonly library: string;
  /** Ends every process. Does not return. */
  abort(code: number): void;
  /** Waits for all, and gives everything back. */
  finalize(): void;
}

/** The start of a job's other processes finds its library by the launcher's variables; `DWM_MPI` names another. */
function candidates(env: NodeJS.ProcessEnv): string[] {
  if (env.DWM_MPI) return [env.DWM_MPI];
  const { OpenMPI, MPICH } = LIBRARIES;
  const first = env.OMPI_COMM_WORLD_SIZE === undefined && env.PMI_SIZE !== undefined ? MPICH : OpenMPI;
  return [...first, ...(first === MPICH ? OpenMPI : MPICH)];
}

/**
 * Joins the processes of this job.
 * @throws MpiError that says what to install.
 */
export async function openMpi(env: NodeJS.ProcessEnv = process.env): Promise<Mpi> {
  const libc = await openLibc().catch((error) => {
    throw new MpiError('no-mpi', `ffi-rs, which calls MPI, does not load: ${(error as Error).message}`);
  });
  const { I32, I64, String: Text, U8Array } = libc.types;
  const dlopen = (path: string) => libc.call('dlopen', I64, [Text, I32], [path, RTLD_NOW | RTLD_GLOBAL]);

  // UCX below it patches the C library's brk and mmap as they run, which other threads of Node call meanwhile: some
  // 5% of processes crashed. Without the patches it registers memory anew for each message.
  process.env.UCX_MEM_EVENTS ??= 'n';
  // Its plugins look for the library's own symbols, so they must be seen by all.
  const names = candidates(env);
  const path = names.find((name) => dlopen(name) !== 0);
  if (path === undefined) {
    throw new MpiError(
      'no-mpi',
      `no MPI library on this machine (looked for ${names.join(', ')}); apt-get install openmpi-bin or mpich, the one whose mpirun started this process, or name it in DWM_MPI`,
    );
  }
  const handle = dlopen(path);
  const library = await openLibrary(path);
  const check = (name: string, code: number) => {
    if (code !== 0) throw new MpiError('mpi', `${path}: ${name} failed with code ${code}`);
  };
  const call = (name: string, takes: readonly NativeType[], values: readonly unknown[]) =>
    check(name, library.call(name, I32, takes, values));
  const int = () => Buffer.alloc(4);

  const [text, length] = [Buffer.alloc(8192), int()];
  call('MPI_Get_library_version', [U8Array, U8Array], [text, length]);
  const version = text
    .toString('utf8', 0, length.readInt32LE())
    .split(/[,\n]/)[0]
    .replace(/\s+/g, ' ')
    .trim();
  const isOpenMpi = /open mpi/i.test(version);
  const objects = (name: string) => {
    const address = libc.call('dlsym', I64, [I64, Text], [handle, name]);
    if (address === 0) throw new MpiError('mpi', `${path}: has no ${name}; name another library in DWM_MPI`);
    return address;
  };
  const [Handle, world, byte] = isOpenMpi
    ? [I64, objects('ompi_mpi_comm_world'), objects('ompi_mpi_byte')]
    : [I32, MPICH_HANDLES.world, MPICH_HANDLES.byte];

  const provided = int();
  call('MPI_Init_thread', [I64, I64, I32, U8Array], [0, 0, THREAD_SERIALIZED, provided]);
  if (provided.readInt32LE() < THREAD_SERIALIZED) {
    throw new MpiError(
      'mpi',
      `${path}: cannot be called from several threads (MPI_THREAD_SERIALIZED); build it so`,
    );
  }
  const number = (name: string) => {
    const value = int();
    call(name, [Handle, U8Array], [world, value]);
    return value.readInt32LE();
  };
  const [rank, count] = [number('MPI_Comm_rank'), number('MPI_Comm_size')];
  let ended = false;

  /** In a thread of its own, so that the device goes on meanwhile. One at a time. */
  const turns = new Turns();
  const collective = (name: string, own: Uint8Array, each: number): Promise<Uint8Array> =>
    turns.take(async () => {
      const [from, to] = [bufferOf(own), Buffer.alloc(each * count)];
      const code = await library.callAside(
        name,
        I32,
        [U8Array, I32, Handle, U8Array, I32, Handle, Handle],
        [from, each, byte, to, each, byte, world],
      );
      check(name, code);
      return to;
    });
  return {
    library: version,
    rank,
    count,
    gather: (own) => collective('MPI_Allgather', own, own.length),
    exchange: (own) => collective('MPI_Alltoall', own, own.length / count),
    abort(code) {
      if (ended) return;
      ended = true;
      call('MPI_Abort', [Handle, I32], [world, code]);
    },
    finalize() {
      if (ended) return;
      ended = true;
      call('MPI_Finalize', [], []);
    },
  };
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
