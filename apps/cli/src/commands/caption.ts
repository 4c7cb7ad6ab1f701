/** `dwm caption`: captions of clips, and captions rewritten, by a model that answers at an address of the user's. */
import { readFile } from 'node:fs/promises';
import { basename, extname, join, relative } from 'node:path';
import { DwmError, InvalidArgumentError } from '@dwm/core-tensor';
import { isDiskFull, WriteError, withOutput, writeFileAtomic } from '@dwm/core-tensor/node';
import { checkInside, clipsIn, filesIn, LAYOUTS, type Layout, sampleFolders } from '@dwm/dwm-model/node';
import { readVideo } from '@dwm/media/node';
import { type Command, Option } from 'commander';
import { ask, type Endpoint, EndpointError, type Message } from '../caption/endpoint.ts';
import {
  captionQuestion,
  contextOf,
  INSTRUCTIONS,
  readInput,
  rewriteQuestion,
  rewritten,
  sampledFrames,
} from '../caption/questions.ts';
import { exists } from '../generate/files.ts';
import { interruptible } from '../interrupt.ts';
import { createReporter, type Reporter } from '../report.ts';
import { type Worker, type WorkerFlags, workerFrom, workerOption } from '../work/claim.ts';
import { integer, real } from './options.ts';

interface Flags extends WorkerFlags {
  endpoint: string;
  modelName: string;
  dataRoot: string;
  datasetType: Layout;
  rewrite?: true;
  videoType: 'egocentric' | 'third_person';
  videoFolderName?: string;
  promptSubdir: string;
  outputFolderName?: string;
  promptFile?: string;
  numSampledFrames: number;
  thirdPromptDirname: string;
  useThirdPersonContext?: true;
  actionsRoot?: string;
  clipLength: number;
  clipStride: number;
  frameSkip: number;
  arrayIndex?: number;
  numSplits: number;
  overwrite?: true;
  followLinks?: true;
  maxRetryCount: number;
  temperature?: number;
  maxTokens?: number;
}

/** A file to be written, and the question whose answer it is. */
interface Task {
  readonly source: string;
  readonly target: string;
  question(): Promise<Message[]>;
  /** What goes into the file; undefined for an answer of no use. */
  content(answer: string): string | undefined;
}

export function addCaption(program: Command): void {
  program
    .command('caption')
    .requiredOption(
      '--endpoint <url>',
      'where it answers, e.g. http://127.0.0.1:8080/v1; nothing is asked elsewhere',
    )
    .requiredOption('--model-name <name>', 'what the endpoint calls the model')
    .requiredOption('--root-dir, --data-root <dir>', 'folder of the clips')
    .addOption(
      new Option('--dataset-type <type>', 'how its folders are laid out').choices(LAYOUTS).default('trumans'),
    )
    .option('--rewrite', 'rewrite captions in place of making them: prompts/ to prompts_rewrite/')
    .addOption(
      new Option('--video-type <type>', 'videos/ to prompts/, or videos_third/ to prompts_aux/')
        .choices(['egocentric', 'third_person'])
        .default('egocentric'),
    )
    .option('--video-folder-name <name>', 'folder of the clips, if another')
    .option('--prompt-subdir <name>', 'folder of captions to rewrite', 'prompts')
    .option('--output-folder-name <name>', 'folder to write to, if another')
    .option('--input-prompt-file, --prompt-file <file>', 'your own instructions for the model')
    .option('--num-sampled-frames <n>', 'pictures of a clip that the model sees', integer(1, 256), 16)
    .option('--use-third-person-context', 'tell it what prompts_aux/ says of the clip')
    .option('--third-prompt-dirname <name>', 'the folder of that', 'prompts_aux')
    .option('--actions-root <dir>', "TRUMANS' Actions/: tell it the actions of the clip")
    .option('--clip-length <n>', 'frames of a clip there', integer(1), 49)
    .option('--clip-stride <n>', 'from clip to clip', integer(1), 25)
    .option('--frame-skip <n>', 'frames of the motion to one of a clip', integer(1), 3)
    .option('--array-index <i>', 'this process of --num-splits', integer(0))
    .option('--num-splits <n>', 'runs that the files are cut into', integer(1), 8)
    .addOption(workerOption())
    .option('--skip-existing', 'leave captions alone that are there; so it is without --overwrite')
    .option('--overwrite', 'make them anew')
    .option('--follow-links', 'let links of the data root lead out of it')
    .option('--max-retry-count <n>', 'tries before a file is given up', integer(1), 10)
    .option('--temperature <t>', 'of the model (0.1, rewriting 0.7)', real(0, 2))
    .option('--max-tokens <n>', 'of an answer (512, rewriting 1024)', integer(1))
    .addHelpText(
      'after',
      `
OPENAI_API_KEY is sent along, if it is set. A server of one's own, for example:
  llama-server -m model.gguf --mmproj mmproj.gguf --port 8080      (or: vllm serve <model>)
  dwm caption --endpoint http://127.0.0.1:8080/v1 --model-name any --root-dir data/trumans
  dwm caption --rewrite --endpoint http://127.0.0.1:8080/v1 --model-name any --root-dir data/trumans`,
    )
    .action(async (flags: Flags) => {
      const reporter = createReporter(program.opts().json === true);
      await interruptible((signal) => caption(flags, reporter, signal));
    });
}

async function caption(flags: Flags, reporter: Reporter, signal: AbortSignal): Promise<void> {
  if (!/^https?:\/\//.test(flags.endpoint) || !URL.canParse(flags.endpoint))
    throw new InvalidArgumentError(
      '--endpoint',
      `expected a URL such as http://127.0.0.1:8080/v1, got ${flags.endpoint}`,
    );
  const { username, password, search, hash } = new URL(flags.endpoint);
  // It would be shown in every message, and the path of a question goes behind it.
  if (username || password || search || hash)
    throw new InvalidArgumentError(
      '--endpoint',
      'expected an address alone, without user, ? or #; a key goes into OPENAI_API_KEY',
    );
  const endpoint: Endpoint = {
    url: flags.endpoint,
    model: flags.modelName,
    key: process.env.OPENAI_API_KEY,
    temperature: flags.temperature ?? (flags.rewrite ? 0.7 : 0.1),
    maxTokens: flags.maxTokens ?? (flags.rewrite ? 1024 : 512),
  };
  const instructions = flags.promptFile
    ? await readFile(flags.promptFile, 'utf8')
    : INSTRUCTIONS[flags.rewrite ? 'rewrite' : flags.videoType];
  const all = flags.rewrite
    ? await rewriteTasks(flags, instructions)
    : await captionTasks(flags, instructions, reporter);
  if (all.length === 0)
    throw new InvalidArgumentError(
      '--root-dir',
      `${flags.dataRoot} has nothing to caption; check --dataset-type`,
    );
  for (const { source, target } of all) {
    for (const path of [source, target]) await checkInside(flags.dataRoot, path, flags.followLinks);
  }
  const cut = flags.arrayIndex === undefined ? undefined : '--array-index';
  const worker = workerFrom(flags, flags.dataRoot, 'caption', reporter, [cut]);
  if (worker) return captionShared(worker, all, flags, endpoint, reporter, signal);
  // Shares of one list are written beside each other.
  const name = `caption${flags.arrayIndex === undefined ? '' : `-${flags.arrayIndex}`}`;
  await withOutput(flags.dataRoot, { name }, () => captionAlone(all, flags, endpoint, reporter, signal));
}

async function captionAlone(
  all: readonly Task[],
  flags: Flags,
  endpoint: Endpoint,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const todo: Task[] = [];
  for (const task of all) if (flags.overwrite || !(await exists(task.target))) todo.push(task);
  const tasks = share(todo, flags);
  const failures: { src: string; reason: string }[] = [];
  for (const [done, task] of tasks.entries()) {
    signal.throwIfAborted();
    const reason = await answer(task, endpoint, flags.maxRetryCount, signal);
    if (reason !== undefined) {
      failures.push({ src: task.source, reason });
      reporter.warn(reason.includes(task.source) ? reason : `${task.source}: ${reason}`);
    }
    reporter.progress(`${done + 1} of ${tasks.length} captions  ${task.target}`, done + 1 === tasks.length);
  }
  const written = tasks.length - failures.length;
  const text = `${written} captions written, ${all.length - todo.length} were there already`;
  if (failures.length > 0)
    throw new DwmError('caption-failed', `${text}, ${failures.length} failed; run it again for those`, {
      written,
      failures,
    });
  reporter.result({ written, total: all.length }, text);
}

/** The captions as one of several processes that share them; those that are there are kept. */
async function captionShared(
  worker: Worker,
  tasks: readonly Task[],
  { dataRoot, maxRetryCount, overwrite }: Flags,
  endpoint: Endpoint,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  if (overwrite)
    throw new InvalidArgumentError(
      '--overwrite',
      'makes captions anew that another process has just made; leave it out with --worker',
    );
  const items = tasks.map((task) => ({ task, name: task.target, file: relative(dataRoot, task.target) }));
  const written = await worker.beside(() =>
    worker.each({
      items,
      signal,
      open: async () => undefined,
      async work({ task }) {
        const reason = await answer(task, endpoint, maxRetryCount, signal);
        if (reason !== undefined) throw new DwmError('caption-failed', reason);
      },
    }),
  );
  reporter.result({ written, total: tasks.length }, `${written} captions written here, of ${tasks.length}`);
}

/** @returns why it failed, if it did. */
async function answer(
  task: Task,
  endpoint: Endpoint,
  tries: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  let reason = 'no answer of the form that was asked for';
  try {
    const question = await task.question();
    for (let i = 0; i < tries; i++) {
      signal.throwIfAborted();
      try {
        const content = task.content(await ask(endpoint, question, signal));
        if (content === undefined) continue;
        await writeFileAtomic(task.target, content);
        return undefined;
      } catch (error) {
        if (error instanceof EndpointError || signal.aborted || !(error instanceof DwmError)) throw error;
        // Another answer would not help.
        if (error instanceof WriteError) throw error;
        reason = error.message;
      }
    }
    return `${reason}, ${tries} tries`;
  } catch (error) {
    if (error instanceof EndpointError || signal.aborted || isDiskFull(error)) throw error;
    return (error as Error).message;
  }
}

/** This process's run of neighbours: as many for each, the last has what is left. */
function share<T>(items: readonly T[], { arrayIndex, numSplits }: Flags): readonly T[] {
  if (arrayIndex === undefined) return items;
  if (arrayIndex >= numSplits)
    throw new InvalidArgumentError('--array-index', `expected 0 to ${numSplits - 1}, got ${arrayIndex}`);
  const length = Math.ceil(items.length / numSplits);
  return items.slice(arrayIndex * length, (arrayIndex + 1) * length);
}

async function captionTasks(flags: Flags, instructions: string, reporter: Reporter): Promise<Task[]> {
  const third = flags.videoType === 'third_person';
  const from = flags.videoFolderName ?? (third ? 'videos_third' : 'videos');
  const to = flags.outputFolderName ?? (third ? 'prompts_aux' : 'prompts');
  const tasks: Task[] = [];
  for (const folder of await sampleFolders(flags.dataRoot, flags.datasetType)) {
    for (const source of await clipsIn(join(folder, from))) {
      const stem = basename(source, extname(source));
      tasks.push({
        source,
        target: join(folder, to, `${stem}${third ? '.json' : '.txt'}`),
        async question() {
          const clip = await readVideo(source, {
            warn: (line) => reporter.say(line),
            indices: ({ frames }) => sampledFrames(frames, flags.numSampledFrames),
          });
          const said = join(folder, flags.thirdPromptDirname, `${stem}.json`);
          if (flags.useThirdPersonContext) await checkInside(flags.dataRoot, said, flags.followLinks);
          const context = third
            ? { hints: [] }
            : await contextOf(
                { folder, action: basename(folder), stem },
                { ...flags, thirdPrompts: flags.useThirdPersonContext && flags.thirdPromptDirname },
              );
          return captionQuestion(clip, instructions, context);
        },
        content(answer) {
          const prompt = answer.trim();
          if (prompt === '') return undefined;
          return third ? `${JSON.stringify({ prompt, action_hints: [] }, undefined, 2)}\n` : `${prompt}\n`;
        },
      });
    }
  }
  return tasks;
}

async function rewriteTasks(flags: Flags, instructions: string): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const folder of await sampleFolders(flags.dataRoot, flags.datasetType)) {
    const inputs = join(folder, flags.promptSubdir);
    for (const source of [...(await filesIn(inputs, '.txt')), ...(await filesIn(inputs, '.json'))]) {
      const name = `${basename(source, extname(source))}.txt`;
      tasks.push({
        source,
        target: join(folder, flags.outputFolderName ?? 'prompts_rewrite', name),
        async question() {
          const prompt = await readInput(source);
          if (prompt === undefined) throw new DwmError('empty-caption', 'has no words in it');
          return rewriteQuestion(prompt, instructions);
        },
        content(answer) {
          const text = rewritten(answer);
          return text === undefined ? undefined : `${text}\n`;
        },
      });
    }
  }
  return tasks;
}
