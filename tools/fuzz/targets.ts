/** Every reader of a file that may come from a stranger: small valid files for it, and how it reads one. */
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  bytesSource,
  type ModelFolder,
  openCheckpoint,
  openGguf,
  openSafetensors,
  openTorchFile,
  readTorchFile,
  writeSafetensors,
} from '@dwm/core-tensor/files';
import { openLora, readRunSettings } from '@dwm/dwm-model';
import { parseExperiment, readExperimentFile } from '@dwm/dwm-model/node';
import {
  fromConfig,
  readJson,
  readT5Config,
  readTransformerConfig,
  readVaeConfig,
  readWanConfig,
  T5Tokenizer,
  umt5ConfigOf,
  wanParameters,
} from '@dwm/dwm-model/parts';
import { LayerWeights } from '@dwm/hands';
import { decodeRgba, encodePng, encodeVideo, readVideo } from '@dwm/media/node';
import { loadMano, type ManoModel, readTransforms } from '@dwm/renderer';
import { readEgodexFile } from '@dwm/renderer/node';
import {
  importColmap,
  importColmapBinary,
  importEgodex,
  importEgoexo,
  importHamer,
  importHot3dClip,
  importManoNpz,
  importMediapipe,
  importWebxr,
  openNpz,
  readAriaPath,
  readHot3dHands,
  readHot3dObjects,
  readHot3dPath,
  recordingKind,
} from '@dwm/renderer/recordings';
import { decodeKtx2, readGltf } from '@dwm/renderer/scene';
import { readSplats } from '@dwm/renderer/splats';
import { readDatasetList } from '../../apps/cli/src/generate/jobs.ts';
import { LerobotDataset } from '../../apps/cli/src/lerobot/dataset.ts';
import { lerobotV3 } from '../../apps/cli/src/lerobot/testing.ts';
import { readYamlFile } from '../../apps/cli/src/yaml-file.ts';
import { readLink, writeLink } from '../../apps/web/src/export/link.ts';
import { writeGguf } from '../../packages/core-tensor/src/files/gguf/testing.ts';
import { listModel } from '../../packages/dwm-model/src/node/download/hub.ts';
import { readState } from '../../packages/dwm-model/src/node/training/checkpoint.ts';
import { readDataset } from '../../packages/dwm-model/src/node/training/dataset.ts';
import { t5Parameters } from '../../packages/dwm-model/src/text-encoder/network.ts';
import { readCLIPConfig } from '../../packages/dwm-model/src/text-image/config.ts';
import { readCLIPTokenizer } from '../../packages/dwm-model/src/text-image/tokenizer-files.ts';
import { parseWanVaeConfig, wanVaeConfigOf } from '../../packages/dwm-model/src/wan/vae/config.ts';
import { wanVaeParameters } from '../../packages/dwm-model/src/wan/vae/parameters.ts';
import { loraNames } from '../../packages/dwm-model/src/weights/lora-names.ts';
import { layerValue } from '../../packages/dwm-model/src/weights/lora-scale.ts';
import { WIDE_WEBM } from '../../packages/media/src/testing.ts';
import { openBasis } from '../../packages/renderer/src/node/basis.ts';
import { parseNpy } from '../../packages/renderer/src/trajectory/npy.ts';
import { array, npy, npz, zip } from '../../packages/renderer/src/trajectory/testing.ts';
import { glb, panel, unpackGlb, writeGlb } from '../../packages/renderer/tests/gltf-samples.ts';
import { basisKtx2, plainKtx2 } from '../../packages/renderer/tests/ktx2-samples.ts';
import { sog } from '../../packages/renderer/tests/sog-files.ts';
import {
  compressedPly,
  inriaPly,
  randomCloud,
  splatFile,
  spzFile,
} from '../../packages/renderer/tests/splat-files.ts';
import * as made from './samples.ts';

export interface Target {
  /** Valid files, from which mutants are made. */
  samples(): Promise<Uint8Array[]>;
  /** @throws DwmError, in one line, for what cannot be read. */
  read(bytes: Uint8Array): Promise<unknown>;
  /** The files are JSON: values are changed too. */
  readonly json?: boolean;
  /** It throws a plain Error with its line, which its callers show or put a name before. */
  readonly plain?: boolean;
}

/** The name that every file has here: nothing of it is to reach a message unseen. */
const NAME = 'file';
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const textFile = (bytes: Uint8Array) => ({ name: NAME, text: text(bytes) });
const MODEL = join(import.meta.dirname, '../../models/dwm-tiny');
const ofModel = (path: string) => async () => [new Uint8Array(await readFile(join(MODEL, path)))];

let folder: Promise<string> | undefined;

/** Writes the bytes to a file of a folder that this process has to itself. */
async function onDisk(bytes: Uint8Array, path = NAME): Promise<string> {
  folder ??= mkdtemp(join(tmpdir(), 'dwm-fuzz-'));
  const file = join(await folder, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
  return file;
}

/** A model folder of one file; whatever else is asked for is the same file. */
const folderOf = (bytes: Uint8Array): ModelFolder => ({
  name: 'folder',
  open: async (path) => bytesSource(`folder/${path}`, bytes),
  exists: async () => true,
});

const config = (path: string, read: (json: unknown, file: string) => unknown): Target => ({
  samples: ofModel(path),
  json: true,
  async read(bytes) {
    const { json, file } = await readJson(folderOf(bytes), path);
    return read(json, file);
  },
});

/** The JSON of a mutant; nothing where it is none, which is another reader's to say. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(text(bytes));
  } catch {
    return undefined;
  }
}

/** A file of weights by names and shapes alone, as far as a header could have them. */
function weightsOf(bytes: Uint8Array) {
  const json = jsonOf(bytes);
  const isShape = (shape: unknown): shape is number[] =>
    Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0 && size < 2 ** 32);
  const shapes = Object.entries(typeof json === 'object' && json !== null ? json : {}).filter(([, shape]) =>
    isShape(shape),
  );
  const entry = (shape: number[]) => ({ file: NAME, dtype: 'F32' as const, shape, begin: 0, end: 0 });
  return { name: NAME, tensors: new Map(shapes.map(([name, shape]) => [name, entry(shape as number[])])) };
}

/** A network that is known by its weights' names and shapes. */
const known = (shapes: () => object, read: (weights: ReturnType<typeof weightsOf>) => unknown): Target => ({
  samples: async () => [made.json(shapes())],
  json: true,
  read: async (bytes) => read(weightsOf(bytes)),
});

/** JSON of which the default model has none. */
const configOf = (samples: readonly object[], read: (json: unknown, file: string) => unknown): Target => ({
  ...config('config.json', read),
  samples: async () => samples.map(made.json),
});

/** What lies packed in a GLB: its JSON stays whole. */
function packed(packing: 'draco' | 'meshopt'): Target {
  const whole = async () => unpackGlb(await writeGlb(panel(4).document, packing));
  let made: ReturnType<typeof whole> | undefined;
  return {
    samples: async () => [(await whole()).binary],
    async read(bytes) {
      made ??= whole();
      return readGltf(glb((await made).json, bytes), { name: NAME });
    },
  };
}

const tensors = () =>
  writeSafetensors(
    new Map([
      ['a', { dtype: 'F32' as const, shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
      ['b', { dtype: 'BF16' as const, shape: [4], data: new Uint16Array(4) }],
    ]),
    { format: 'pt' },
  );

const picture = () => ({
  data: Uint8Array.from({ length: 12 * 8 * 3 }, (_, i) => (i * 37) % 256),
  height: 8,
  width: 12,
});

async function lossy(format: 'jpeg' | 'webp'): Promise<Uint8Array> {
  const { default: sharp } = await import('sharp');
  const { data, height, width } = picture();
  return new Uint8Array(
    await sharp(data, { raw: { width, height, channels: 3 } })
      [format]()
      .toBuffer(),
  );
}

const manoArrays = () => ({
  v_template: array([778, 3], new Float64Array(778 * 3)),
  shapedirs: array([778, 3, 10], new Float64Array(778 * 30)),
  posedirs: array([778, 3, 135], new Float64Array(778 * 405)),
  J_regressor: array([16, 778], new Float64Array(16 * 778)),
  weights: array([778, 16], new Float64Array(778 * 16)),
  hands_components: array([45, 45], new Float64Array(45 * 45)),
  hands_mean: array([45], new Float64Array(45)),
  f: array([1, 3], [0, 1, 2], '<u4'),
  kintree_table: array([2, 16], [-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14, ...Array(16).keys()]),
});

let model: Promise<ManoModel> | undefined;
/** A hand model of zeros. */
const mano = () => (model ??= loadMano({ name: 'mano.npz', bytes: npz(manoArrays()) }));

/** What a checkpoint of a training says of itself. */
const state = () =>
  made.json({
    version: 1,
    ...{ step: 4, position: 8, seed: 42, meanLoss: 0.5, points: [{ step: 1, loss: 0.5 }] },
    layout: { 'a.weight': [2, 3] },
    config: { training: { seed: 42 } },
    files: {},
  });

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const listing = () =>
  made.json([
    { type: 'directory', path: 'vae', size: 0, oid: COMMIT },
    { type: 'file', path: 'vae/config.json', size: 10, oid: COMMIT },
    { type: 'file', path: 'a.bin', size: 5e9, oid: COMMIT, lfs: { oid: 'a'.repeat(64), size: 5e9 } },
  ]);

/** Asks a hub whose list of files is `bytes`. */
async function askHub(bytes: Uint8Array): Promise<unknown> {
  const access = { endpoint: 'https://hub.example', patienceMs: 1000 };
  const real = globalThis.fetch;
  globalThis.fetch = async (url) =>
    String(url).includes('/tree/')
      ? new Response(new Uint8Array(bytes))
      : new Response(JSON.stringify({ sha: COMMIT }));
  try {
    return await listModel('owner/name', 'main', access);
  } finally {
    globalThis.fetch = real;
  }
}

/** A hand of 25 joints on a grid, each with its place and a quaternion. */
const REST = Float64Array.from({ length: 25 * 7 }, (_, i) => {
  const [joint, part] = [Math.floor(i / 7), i % 7];
  return [0.02 * Math.floor(joint / 5), 0.02 * (joint % 5), 0.001 * joint, 0, 0, 0, 1][part];
});

/** A file of a LeRobot data set, whose others are whole. */
const lerobot = (path: string, json?: true): Target => {
  const whole = async () => {
    const root = dirname(dirname(await onDisk(new Uint8Array(), 'lerobot/meta/x')));
    await lerobotV3(root);
    return root;
  };
  return {
    samples: async () => [new Uint8Array(await readFile(join(await whole(), path)))],
    ...(json && { json }),
    async read(bytes) {
      const root = await whole();
      await writeFile(join(root, path), bytes);
      const data = await LerobotDataset.open(root);
      const episode = await data.episode(1);
      return [
        await episode.video(data.camera(undefined)),
        await episode.rows(['observation.state', 'timestamp']),
      ];
    },
  };
};

const PINHOLE = { fx: 50, fy: 50, cx: 32, cy: 24, width: 64, height: 48 };

/** A link is text, packed: its inside is damaged, and packed anew. */
const LINK = '#dwm2=';
async function linkInside(): Promise<Uint8Array> {
  const settings = {
    ...{ width: 96, height: 64, frames: 5, fps: 8, steps: 4, guidance: 1, seed: 3, prompt: 'A hand.' },
  };
  const recorded = readTransforms(textFile(made.transforms()));
  const frames = Array.from(
    { length: settings.frames },
    (_, i) => recorded.frames[i % recorded.frames.length],
  );
  const link = await writeLink({ room: 7, settings, trajectory: { ...recorded, frames } });
  const packed = Buffer.from(link.slice(LINK.length), 'base64url');
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function readLinkInside(bytes: Uint8Array): Promise<unknown> {
  const stream = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new CompressionStream('deflate-raw'));
  const packed = Buffer.from(await new Response(stream).arrayBuffer());
  return readLink(LINK + packed.toString('base64url'));
}

const LIST = 'kitchen/videos/1.mp4\n# a comment\n\nkitchen/videos/2.mp4\n';
const YAML = `experiment: { name: x, output_dir: out }
model: &model
  base_model_name_or_path: base
data:
  data_root: data
  dataset_file: [list.txt]
  height_buckets: 16
training:
  learning_rate: 1e-4
  lora_rank: 4
`;

export const TARGETS: Readonly<Record<string, Target>> = {
  safetensors: {
    samples: async () => [tensors()],
    async read(bytes) {
      const checkpoint = await openSafetensors(bytesSource(NAME, bytes));
      for (const name of checkpoint.tensors.keys()) await checkpoint.readTensor(name);
    },
  },
  quantized: {
    samples: async () => [
      writeSafetensors(
        new Map([
          ['a.weight', { dtype: 'I8' as const, shape: [2, 8], data: new Int8Array(16) }],
          ['a.weight_scale', { dtype: 'F32' as const, shape: [2, 1], data: new Float32Array(2) }],
          ['b.weight_packed', { dtype: 'I32' as const, shape: [2, 2], data: new Int32Array(4) }],
          ['b.weight_scale', { dtype: 'BF16' as const, shape: [2, 2], data: new Uint16Array(4) }],
        ]),
      ),
    ],
    async read(bytes) {
      const checkpoint = await openCheckpoint(
        { ...folderOf(bytes), exists: async (path) => path === 'model.safetensors' },
        'model',
      );
      for (const name of checkpoint.tensors.keys()) await checkpoint.readTensor(name);
    },
  },
  gguf: {
    samples: async () => [
      writeGguf(
        [
          { name: 'a', shape: [2], type: 0, data: new Uint8Array(8) },
          { name: 'b.weight', shape: [1, 64], type: 8, data: new Uint8Array(68) },
          { name: 'c.weight', shape: [1, 256], type: 12, data: new Uint8Array(144) },
        ],
        { 'general.architecture': 'cogvideox', 'general.alignment': 32, list: [1, 2] },
      ),
    ],
    async read(bytes) {
      const checkpoint = await openGguf(bytesSource(NAME, bytes));
      for (const name of checkpoint.tensors.keys()) await checkpoint.readTensor(name);
    },
  },
  index: {
    samples: async () => [
      made.json({ metadata: { total_size: 32 }, weight_map: { a: 'one.safetensors', b: 'one.safetensors' } }),
    ],
    json: true,
    read: (bytes) =>
      openCheckpoint(
        {
          name: 'folder',
          open: async (path) => bytesSource(`folder/${path}`, path.endsWith('.json') ? bytes : tensors()),
          exists: async (path) => path.endsWith('.index.json') || path === 'one.safetensors',
        },
        'model',
      ),
  },
  lora: {
    samples: async () => [
      writeSafetensors(
        new Map(
          [
            ['transformer.transformer_blocks.0.attn1.to_q.lora_A.weight', [2, 8]] as const,
            ['transformer.transformer_blocks.0.attn1.to_q.lora_B.weight', [8, 2]] as const,
          ].map(([name, shape]) => [
            name,
            { dtype: 'F32' as const, shape: [...shape], data: new Float32Array(16) },
          ]),
        ),
      ),
    ],
    read: (bytes) =>
      openLora({
        name: 'folder',
        open: async (path) => bytesSource(`folder/${path}`, bytes),
        exists: async (path) => path === 'pytorch_lora_weights.safetensors',
      }),
  },
  'lora-config': {
    samples: async () => [
      made.json({
        ...{ peft_type: 'LORA', r: 4, lora_alpha: 2, use_rslora: true, use_dora: false },
        ...{ rank_pattern: { 'to_out.0': 2 }, alpha_pattern: { '^blocks\\.(0|1)\\..*': 6 } },
      }),
    ],
    json: true,
    async read(bytes) {
      const weights = writeSafetensors(new Map());
      const open = async (path: string) =>
        bytesSource(`folder/${path}`, path.endsWith('.json') ? bytes : weights);
      const { config } = await openLora({
        name: 'folder',
        open,
        exists: async (path) => !/non_lora/.test(path),
      });
      const module = 'transformer_blocks.12.attn1.processor.to_out.0';
      return config && [layerValue(module, config.alpha, config.alphas), layerValue(module, 1, config.ranks)];
    },
  },
  'lora-names': {
    samples: async () => [
      made.json([
        'lora_unet_blocks_0_q.lora_down.weight',
        'lora_unet_blocks_0_q.lora_up.weight',
        'blocks.0.q.alpha',
      ]),
      made.json([
        'diffusion_model.blocks.0.q.lora_A.default.weight',
        'blocks.0.q.lora_B.weight',
        'blocks.0.q.diff_b',
      ]),
    ],
    json: true,
    async read(bytes) {
      const names = jsonOf(bytes);
      const strings = (Array.isArray(names) ? names : []).filter((name) => typeof name === 'string');
      return loraNames(NAME, strings, new Set(['blocks.0.q.weight', 'blocks.0.q.bias']));
    },
  },
  'wan-config': configOf(made.WAN_CONFIGS, (json, file) => wanParameters(readWanConfig(json, file))),
  'wan-vae-config': configOf(made.WAN_VAE_CONFIGS, (json, file) =>
    wanVaeParameters(parseWanVaeConfig(json, file)),
  ),
  'wan-vae-weights': known(made.wanVaeShapes, (weights) => wanVaeParameters(wanVaeConfigOf(weights))),
  'umt5-weights': known(made.umt5Shapes, (weights) => t5Parameters(umt5ConfigOf(weights))),
  'clip-config': configOf([made.CLIP_CONFIG], readCLIPConfig),
  'clip-tokenizer': {
    samples: async () => [made.json(made.CLIP_TOKENIZER)],
    json: true,
    read: async (bytes) => (await readCLIPTokenizer(folderOf(bytes))).encode('A hand opens.', 8),
  },
  torch: {
    samples: async () => [made.torchFile()],
    async read(bytes) {
      const checkpoint = await openTorchFile(bytesSource(NAME, bytes));
      for (const name of checkpoint.tensors.keys()) for await (const _ of checkpoint.streamTensor(name, 64));
      return readTorchFile({ name: NAME, bytes });
    },
  },
  png: {
    samples: async () => [await encodePng(picture())],
    read: (bytes) => decodeRgba(NAME, bytes),
  },
  jpeg: { samples: async () => [await lossy('jpeg')], read: (bytes) => decodeRgba(NAME, bytes) },
  webp: { samples: async () => [await lossy('webp')], read: (bytes) => decodeRgba(NAME, bytes) },
  ktx2: {
    async samples() {
      const plain = { width: 3, height: 2, data: Uint8Array.from({ length: 24 }, (_, i) => i * 9) };
      const stored = (['none', 'zstd', 'zlib'] as const).map((scheme) => plainKtx2({ ...plain, scheme }));
      return [...(['etc1s-alpha', 'uastc', 'uastc-zstd'] as const).map((kind) => basisKtx2(kind)), ...stored];
    },
    plain: true,
    read: (bytes) => decodeKtx2(bytes, openBasis),
  },
  video: {
    async samples() {
      const frame = picture();
      const data = new Uint8Array(3 * frame.data.length);
      for (let i = 0; i < 3; i++) data.set(frame.data, i * frame.data.length);
      return [await encodeVideo({ data, frames: 3, height: 8, width: 12, fps: 8 })];
    },
    read: async (bytes) => readVideo(await onDisk(bytes, 'video.mp4')),
  },
  webm: {
    samples: async () => [new Uint8Array(Buffer.from(WIDE_WEBM, 'base64'))],
    read: async (bytes) => readVideo(await onDisk(bytes, 'video.webm')),
  },
  glb: {
    samples: async () => [
      await writeGlb(panel(2).document),
      await writeGlb(panel(2).document, 'draco'),
      await writeGlb(panel(2).document, 'meshopt'),
    ],
    read: (bytes) => readGltf(bytes, { name: NAME }),
  },
  draco: packed('draco'),
  meshopt: packed('meshopt'),
  gltf: {
    async samples() {
      const { json, binary } = unpackGlb(await writeGlb(panel(2).document));
      json.buffers![0].uri = `data:application/octet-stream;base64,${Buffer.from(binary).toString('base64')}`;
      return [made.json(json)];
    },
    json: true,
    read: (bytes) => readGltf(bytes, { name: NAME }),
  },
  splats: {
    async samples() {
      const [plain, colored] = [randomCloud(5, 0), randomCloud(5, 1)];
      return [
        inriaPly(colored),
        compressedPly(colored),
        spzFile(plain, 2),
        spzFile(colored, 3),
        spzFile(colored, 4),
      ];
    },
    read: (bytes) => readSplats(bytesSource(NAME, bytes)),
  },
  sog: {
    samples: async () => [zip((await sog(1, 1)).files), zip((await sog(2, 0)).files)],
    read: (bytes) =>
      readSplats(bytesSource(NAME, bytes), { decodeImage: ({ name, bytes }) => decodeRgba(name, bytes) }),
  },
  splat: {
    samples: async () => [splatFile(randomCloud(5, 0))],
    read: (bytes) => readSplats(bytesSource('file.splat', bytes)),
  },
  transforms: {
    samples: async () => [made.transforms()],
    json: true,
    read: async (bytes) => readTransforms(textFile(bytes)),
  },
  webxr: {
    samples: async () => [made.webxr()],
    json: true,
    read: async (bytes) => importWebxr(textFile(bytes)),
  },
  mediapipe: {
    samples: async () => [made.mediapipe()],
    json: true,
    read: async (bytes) => importMediapipe(textFile(bytes), { rest: { left: REST, right: REST } }),
  },
  egodex: {
    samples: async () => [await made.egodex()],
    read: async (bytes) =>
      importEgodex(await readEgodexFile(await onDisk(bytes)), { left: REST, right: REST }),
  },
  'egoexo-hands': {
    samples: async () => [made.egoexoHands()],
    json: true,
    read: async (bytes) =>
      importEgoexo(textFile(bytes), textFile(made.egoexoCamera()), { left: REST, right: REST }),
  },
  'egoexo-camera': {
    samples: async () => [made.egoexoCamera()],
    json: true,
    read: async (bytes) =>
      importEgoexo(textFile(made.egoexoHands()), textFile(bytes), { left: REST, right: REST }),
  },
  'hand-weights': {
    samples: async () => [made.handWeights()],
    json: true,
    read: async (bytes) => {
      const weights = new LayerWeights({
        name: NAME,
        json: new TextDecoder().decode(bytes),
        bytes: new Uint8Array(16),
      });
      weights.get('conv2d', [2, 2]);
    },
  },
  aria: { samples: async () => [made.aria()], read: async (bytes) => readAriaPath(textFile(bytes)) },
  headset: { samples: async () => [made.headset()], read: async (bytes) => readHot3dPath(textFile(bytes)) },
  'hot3d-hands': {
    samples: async () => [made.hot3dHands()],
    read: async (bytes) => readHot3dHands(textFile(bytes), await mano()),
  },
  hamer: {
    samples: async () => [
      npz({
        ...{ frame: array([1], [0], '<i8'), right: array([1], [1]), img_size: array([2], [64, 48]) },
        global_orient: array([1, 1, 3, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        hand_pose: array(
          [1, 15, 3, 3],
          Array.from({ length: 135 }, (_, i) => ((i % 9) % 4 === 0 ? 1 : 0)),
        ),
        ...{ betas: array([1, 10], new Float64Array(10)), cam_t: array([1, 3], [0, 0, 1]) },
      }),
    ],
    read: async (bytes) => importHamer({ name: NAME, bytes }, await mano()),
  },
  'colmap-cameras': {
    samples: async () => [made.colmapCameras()],
    read: async (bytes) => importColmap(textFile(bytes), textFile(made.colmapImages())),
  },
  'colmap-images': {
    samples: async () => [made.colmapImages()],
    read: async (bytes) => importColmap(textFile(made.colmapCameras()), textFile(bytes)),
  },
  'colmap-cameras-binary': {
    samples: async () => [made.colmapBinary().cameras],
    read: async (bytes) =>
      importColmapBinary({ name: NAME, bytes }, { name: 'images.bin', bytes: made.colmapBinary().images }),
  },
  'colmap-images-binary': {
    samples: async () => [made.colmapBinary().images],
    read: async (bytes) =>
      importColmapBinary({ name: 'cameras.bin', bytes: made.colmapBinary().cameras }, { name: NAME, bytes }),
  },
  kind: {
    samples: async () => [
      made.transforms(),
      made.webxr(),
      made.aria(),
      made.colmapImages(),
      made.mediapipe(),
    ],
    read: async (bytes) => recordingKind(NAME, bytes),
  },
  npz: {
    samples: async () => [
      npz({ a: array([2, 3], [1, 2, 3, 4, 5, 6]), b: array([2], [7, 8], '<i4') }),
      npz({ a: array([40], new Float64Array(40)) }, true),
    ],
    async read(bytes) {
      const file = await openNpz({ name: NAME, bytes });
      for (const name of file.arrays) await file.array(name);
    },
  },
  npy: {
    samples: async () => [npy(array([2, 3], [1, 2, 3, 4, 5, 6]))],
    read: async (bytes) => parseNpy({ name: NAME, bytes }),
  },
  mano: {
    samples: async () => [npz(manoArrays(), true)],
    read: (bytes) => loadMano({ name: NAME, bytes }),
  },
  tokenizer: {
    samples: ofModel('tokenizer/tokenizer.json'),
    json: true,
    read: async (bytes) =>
      T5Tokenizer.fromTokenizerJson(text(bytes), NAME).encode('A hand opens the drawer.'),
  },
  spiece: {
    samples: async () => [made.spieceModel()],
    read: async (bytes) => T5Tokenizer.fromSpieceModel(bytes, NAME).encode('A hand opens the drawer.'),
  },
  'vae-config': {
    samples: ofModel('vae/config.json'),
    json: true,
    read: (bytes) => readVaeConfig(folderOf(bytes)),
  },
  'transformer-config': config('transformer/config.json', readTransformerConfig),
  'text-config': config('text_encoder/config.json', readT5Config),
  scheduler: config('scheduler/scheduler_config.json', (json, file) => fromConfig(json, file)),
  generation: {
    samples: ofModel('generation.json'),
    json: true,
    read: (bytes) => readRunSettings(folderOf(bytes)),
  },
  state: {
    samples: async () => [state()],
    json: true,
    read: async (bytes) => readState(dirname(await onDisk(bytes, 'checkpoint-4/state.json'))),
  },
  hub: { samples: async () => [listing()], json: true, read: askHub },
  yaml: {
    samples: async () => [made.text(YAML)],
    read: async (bytes) => parseExperiment(await readYamlFile(await onDisk(bytes, 'x.yaml'), []), NAME),
  },
  'wan-yaml': {
    samples: async () => [made.text(made.WAN_YAML)],
    read: async (bytes) => readExperimentFile(await readYamlFile(await onDisk(bytes, 'x.yaml'), []), NAME),
  },
  list: {
    samples: async () => [made.text(LIST)],
    async read(bytes) {
      const file = await onDisk(bytes, 'list.txt');
      const root = dirname(file);
      const experiment = {
        model: { base_model_name_or_path: 'x' },
        data: { data_root: root, dataset_file: [file] },
      };
      await readDataset(file, parseExperiment(experiment, 'x.yaml').data);
      await readDatasetList(file, { dataRoot: root, promptSubdir: 'prompts', layout: 'per_sample' });
    },
  },
  'mano-poses': {
    samples: async () => [npz(made.arcticPoses()), npz(made.hocapPoses())],
    read: async (bytes) => importManoNpz({ name: NAME, bytes }, await mano()),
  },
  'hot3d-clip': {
    samples: async () => [made.hot3dClip()],
    async read(bytes) {
      const file = { name: NAME, bytes };
      importHot3dClip(file, await mano(), PINHOLE);
      readHot3dObjects(file);
    },
  },
  'lerobot-info': lerobot('meta/info.json', true),
  'lerobot-episodes': lerobot('meta/episodes/chunk-000/file-000.parquet'),
  'lerobot-data': lerobot('data/chunk-000/file-000.parquet'),
  link: { samples: async () => [await linkInside()], plain: true, read: readLinkInside },
};
