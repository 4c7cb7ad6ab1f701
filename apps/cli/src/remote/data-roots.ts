/** Data roots over the network, in the places where commands take a folder. */
import { mkdir } from 'node:fs/promises';
import { relative, sep } from 'node:path';
import { type ExperimentConfig, readDataset, type Sample } from '@dwm/dwm-model/node';
import { exists } from '../generate/files.ts';
import type { Job } from '../generate/jobs.ts';
import type { Reporter } from '../report.ts';
import { isRemote, RemoteError, RemoteRoot } from './remote-root.ts';

/** Files at a time. */
const AT_ONCE = 8;

async function each<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const item of left) await work(item);
    }),
  );
}

const pathIn = (folder: string, file: string): string => relative(folder, file).split(sep).join('/');

/** A list of the root, or a file of this machine. */
async function fetchList(remote: RemoteRoot, list: string): Promise<string> {
  if (isRemote(list)) {
    const root = `${remote.url.replace(/\/$/, '')}/`;
    if (!list.startsWith(root))
      throw new RemoteError('remote', `${list}: is not below ${remote.url}; name a list of the same root`);
    return fetchList(remote, list.slice(root.length));
  }
  if (!(await remote.fetch(list)) && !(await exists(list)))
    throw new RemoteError(
      'remote',
      `${remote.url.replace(/\/$/, '')}/${list}: is not there, and no file of this machine has that name`,
    );
  return list;
}

/**
 * A root over the network, and its list in the cache; undefined for a folder.
 * @param list relative to the root, an address below it, or a file of this machine.
 */
export async function openDataRoot(
  root: string | undefined,
  list: string,
  signal: AbortSignal,
): Promise<{ remote: RemoteRoot; list: string } | undefined> {
  if (root === undefined || !isRemote(root)) return undefined;
  const remote = new RemoteRoot(root, process.env, signal);
  await mkdir(remote.folder, { recursive: true });
  return { remote, list: await fetchList(remote, list) };
}

/** Fetches the files of clips. What is not there is missed where it is read. */
export async function fetchJobs(
  remote: RemoteRoot,
  jobs: readonly Pick<Job, 'staticVideo' | 'handVideo' | 'truth' | 'promptFile'>[],
  reporter: Reporter,
): Promise<void> {
  let done = 0;
  await each(jobs, async ({ staticVideo, handVideo, truth, promptFile }) => {
    for (const file of [staticVideo, handVideo, truth, promptFile])
      if (file !== undefined) await remote.fetch(pathIn(remote.folder, file));
    reporter.progress(`fetched ${++done} of ${jobs.length} clips of ${remote.url}`, done === jobs.length);
  });
}

/** An experiment whose data lie in the cache: everything that its samples may have is fetched. */
export async function withLocalData<C extends ExperimentConfig>(
  config: C,
  reporter: Reporter,
  signal?: AbortSignal,
): Promise<C> {
  const { data, training } = config;
  const encoded = training.custom_settings.load_tensors;
  const remotes = new Map<string, RemoteRoot>();
  const local = async (root: string, list: string): Promise<{ root: string; path: string }> => {
    if (!isRemote(root)) return { root, path: list };
    const remote = remotes.get(root) ?? new RemoteRoot(root, process.env, signal);
    remotes.set(root, remote);
    const path = await fetchList(remote, list);
    const here = (await remote.fetch(path)) ? `${remote.folder}/${path}` : path;
    const samples = await readDataset(here, data, remote.folder);
    let done = 0;
    await each(samples, async (sample) => {
      await fetchSample(remote, sample, encoded);
      reporter.progress(`fetched ${++done} of ${samples.length} clips of ${root}`, done === samples.length);
    });
    return { root: remote.folder, path: here };
  };
  const lists: ExperimentConfig['data']['dataset_file'] = [];
  for (const entry of data.dataset_file) {
    const { root, path } = await local(entry.root ?? data.data_root, entry.path);
    const matched = [];
    for (const other of entry.matched)
      matched.push({ ...other, ...(await local(other.root ?? data.data_root, other.path)) });
    lists.push({ ...entry, root, path, matched });
  }
  const validation: string[] = [];
  for (const list of data.validation_set) validation.push((await local(data.data_root, list)).path);
  if (remotes.size === 0) return config;
  const root = remotes.get(data.data_root)?.folder ?? data.data_root;
  return { ...config, data: { ...data, data_root: root, dataset_file: lists, validation_set: validation } };
}

/** With encoded files the clips themselves are not needed. */
async function fetchSample(remote: RemoteRoot, sample: Sample, encoded: boolean): Promise<void> {
  const get = (file: string) => remote.fetch(pathIn(remote.folder, file));
  const { latents, promptEmbeds } = sample;
  let whole = encoded;
  if (encoded) {
    for (const stem of [latents.video, latents.static, latents.hand, promptEmbeds])
      if (!(await get(`${stem}.safetensors`)) && !(await get(`${stem}.pt`))) whole = false;
  }
  await get(sample.prompt);
  if (!whole) for (const file of [sample.video, sample.static, sample.hand]) await get(file);
}
