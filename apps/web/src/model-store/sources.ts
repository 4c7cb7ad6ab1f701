/**
 * Where a model comes from, made into a folder that the engine reads by ranges: the one served beside the page,
 * files the visitor dropped, an address, or one that was kept before.
 */
import { DwmError, InvalidFileError } from '@dwm/core-tensor';
import { type ModelFolder, urlFolder } from '@dwm/core-tensor/files';
import { LORA_FILE, LORA_FILES, modelFiles, NON_LORA_FILE } from '@dwm/dwm-model';
import { type DroppedFile, droppedFolder } from './dropped.ts';
import type { Manifest } from './manifest.ts';
import { type Incoming, keep, openKept } from './opfs.ts';

/** A folder of files that the visitor gave. */
export interface ModelFiles {
  readonly name: string;
  readonly files: readonly DroppedFile[];
}

export type ModelRef =
  | { readonly kind: 'default'; readonly base: string }
  | ({ readonly kind: 'files'; readonly keep: boolean } & ModelFiles)
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'kept'; readonly id: string };

/** A LoRA's folder. Tools give its file any name: one that is alone goes by the name that is looked for. */
export function loraFolder({ name, files }: ModelFiles): ModelFolder {
  const weights = files.filter(({ path }) => /\.safetensors$/i.test(path) && !path.endsWith(NON_LORA_FILE));
  const isNamed = files.some(({ path }) => LORA_FILES.some((known) => known === path));
  if (isNamed || weights.length !== 1) return droppedFolder(name, files);
  return droppedFolder(
    name,
    files.map((file) => (file === weights[0] ? { path: LORA_FILE, file: file.file } : file)),
  );
}

type Report = (doneBytes: number, totalBytes: number) => void;

/** @param check is given a folder of which only headers were read, before gigabytes of it are fetched or kept. */
export async function openModel(
  ref: ModelRef,
  report: Report,
  signal: AbortSignal,
  check: (folder: ModelFolder) => Promise<unknown> = async () => {},
): Promise<ModelFolder> {
  switch (ref.kind) {
    case 'default':
      return defaultModel(ref.base, report, signal);
    case 'kept':
      return kept(ref.id);
    case 'files': {
      const folder = droppedFolder(ref.name, ref.files);
      if (!ref.keep) return folder;
      await check(folder);
      const paths = await modelFiles(folder);
      const byPath = new Map(ref.files.map(({ path, file }) => [path, file]));
      const incoming = paths.map((path) => {
        const file = byPath.get(path)!;
        return { path, size: file.size, open: async () => file.stream() };
      });
      return keptAfter(ref.name, ref.name, incoming, report, signal);
    }
    case 'url': {
      const folder = urlFolder(ref.url);
      await check(folder);
      const incoming: Incoming[] = [];
      for (const path of await modelFiles(folder)) {
        const source = await folder.open(path);
        incoming.push({ path, size: source.size, open: (stop) => download(`${folder.name}${path}`, stop) });
      }
      return keptAfter(folder.name, folder.name, incoming, report, signal);
    }
  }
}

const idOf = (name: string) => encodeURIComponent(name).replaceAll('%', '_').slice(-100);

async function keptAfter(
  name: string,
  version: string,
  incoming: readonly Incoming[],
  report: Report,
  signal: AbortSignal,
): Promise<ModelFolder> {
  await keep(idOf(name), { name, version }, incoming, report, signal);
  return kept(idOf(name));
}

async function kept(id: string): Promise<ModelFolder> {
  const folder = await openKept(id);
  if (!folder) throw new DwmError('not-kept', `the model ${id} is no longer kept here; load it again`);
  return folder;
}

async function download(url: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const response = await fetch(url, { signal });
  if (!response.ok || !response.body)
    throw new InvalidFileError(url, `the server answered ${response.status}`);
  return response.body;
}

/** Kept on the first visit; a file server that ignores Range requests will do. */
async function defaultModel(base: string, report: Report, signal: AbortSignal): Promise<ModelFolder> {
  const answer = await fetch(`${base}manifest.json`, { signal });
  if (!answer.ok) throw new InvalidFileError(`${base}manifest.json`, `the server answered ${answer.status}`);
  const { name, version, files } = (await answer.json()) as Manifest;
  const incoming = files.map(({ path, size }) => ({
    path,
    size,
    open: (stop: AbortSignal) => download(base + path, stop),
  }));
  try {
    const id = idOf(base.split('/').at(-2)!);
    const ready = await openKept(id, version);
    if (ready) return ready;
    await keep(id, { name, version }, incoming, report, signal);
    return (await openKept(id, version))!;
  } catch (error) {
    if (signal.aborted || error instanceof InvalidFileError) throw error;
    // Private windows have no file system of their own; the browser may still hold blobs.
    return inBlobs(name, incoming, report, signal);
  }
}

async function inBlobs(
  name: string,
  incoming: readonly Incoming[],
  report: Report,
  signal: AbortSignal,
): Promise<ModelFolder> {
  const total = incoming.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const files: DroppedFile[] = [];
  for (const { path, size, open } of incoming) {
    const blob = await new Response(await open(signal)).blob();
    files.push({ path, file: new File([blob], path.split('/').at(-1)!) });
    done += size;
    report(done, total);
  }
  return droppedFolder(name, files);
}
