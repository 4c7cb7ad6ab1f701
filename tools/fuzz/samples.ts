/** Small valid files of formats that no test helper writes. Made here: nobody's files are kept for this. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from '@dwm/core-tensor/files';
import { EGODEX_JOINTS } from '../../packages/renderer/src/recordings/egodex.ts';
import { array, tar } from '../../packages/renderer/src/trajectory/testing.ts';

/** A zip archive whose entries are stored. */
export function zip(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const [parts, directory]: [Buffer[], Buffer[]] = [[], []];
  let offset = 0;
  for (const [path, data] of Object.entries(files)) {
    const name = Buffer.from(path);
    const sizes = Buffer.alloc(12);
    sizes.writeUInt32LE(crc32(data), 0);
    sizes.writeUInt32LE(data.length, 4);
    sizes.writeUInt32LE(data.length, 8);
    const local = Buffer.alloc(30);
    local.writeUInt32LE(0x04034b50, 0);
    sizes.copy(local, 14);
    local.writeUInt16LE(name.length, 26);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(0x02014b50, 0);
    sizes.copy(central, 16);
    central.writeUInt16LE(name.length, 28);
    central.writeUInt32LE(offset, 42);
    directory.push(central, name);
    parts.push(local, name, Buffer.from(data));
    offset += local.length + name.length + data.length;
  }
  const listing = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(listing.length, 12);
  end.writeUInt32LE(offset, 16);
  return new Uint8Array(Buffer.concat([...parts, listing, end]));
}

/** `torch.save` of {'x': a float tensor [2, 3]}: a pickle of protocol 2, beside its storage, in a zip. */
export function torchFile(): Uint8Array {
  const text = (value: string) => [
    0x58,
    ...new Uint8Array(Uint32Array.of(value.length).buffer),
    ...Buffer.from(value),
  ];
  const global = (module: string, name: string) => [0x63, ...Buffer.from(`${module}\n${name}\n`)];
  const int = (value: number) => [0x4b, value];
  const tuple = (...items: number[][]) => [0x28, ...items.flat(), 0x74];
  const storage = tuple(text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), int(6));
  const tensor = [
    ...global('torch._utils', '_rebuild_tensor_v2'),
    ...tuple(
      [...storage, 0x51],
      int(0),
      tuple(int(2), int(3)),
      tuple(int(3), int(1)),
      [0x89],
      [...global('collections', 'OrderedDict'), 0x29, 0x52],
    ),
    0x52,
  ];
  const pickle = Uint8Array.of(0x80, 2, 0x7d, ...text('x'), ...tensor, 0x73, 0x2e);
  const values = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
  return zip({ 'x/data.pkl': pickle, 'x/byteorder': Buffer.from('little'), 'x/data/0': values });
}

/** A SentencePiece model of a few pieces: unigram, with T5's reserved ones. */
export function spieceModel(): Uint8Array {
  const bytes = (field: number, body: ArrayLike<number>) => [
    (field << 3) | 2,
    body.length,
    ...Array.from(body),
  ];
  const piece = (text: string, score: number, type: number) =>
    bytes(1, [
      ...bytes(1, Buffer.from(text)),
      ...[0x15, ...new Uint8Array(Float32Array.of(score).buffer)],
      ...[0x18, type],
    ]);
  const pieces = [
    ...[piece('<pad>', 0, 3), piece('</s>', 0, 3), piece('<unk>', 0, 2)],
    ...['\u2581', 'a', 'b', '\u2581ab', 'hand'].map((text, i) => piece(text, -1 - i, 1)),
  ];
  const trainer = bytes(2, [0x18, 1]);
  const normalizer = bytes(3, [...bytes(1, Buffer.from('identity')), 0x18, 1, 0x20, 1, 0x28, 1]);
  return Uint8Array.from([...pieces.flat(), ...trainer, ...normalizer]);
}

const IDENTITY = [
  [1, 0, 0, 0],
  [0, 1, 0, 0],
  [0, 0, 1, 0],
  [0, 0, 0, 1],
];

export const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** nerfstudio's trajectory of two frames. */
export const transforms = (): Uint8Array =>
  json({
    ...{ fl_x: 50, fl_y: 50, cx: 32, cy: 24, w: 64, h: 48 },
    frames: [0, 1].map((i) => ({ file_path: `images/${i}.png`, transform_matrix: IDENTITY })),
  });

/** A WebXR recording of two frames, without hands. */
export const webxr = (): Uint8Array =>
  json({
    frames: [0, 33].map((time) => ({
      time,
      view: {
        projectionMatrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, -1, 0, 0, -1, 0],
        transform: { position: { x: 0, y: 1, z: 0, w: 1 }, orientation: { x: 0, y: 0, z: 0, w: 1 } },
      },
      hands: { left: null, right: null },
    })),
  });

/** MediaPipe's hand landmarks: one frame with a hand, one without. */
export function mediapipe(): Uint8Array {
  const landmarks = (scale: number) =>
    Array.from({ length: 21 }, (_, i) => ({
      x: 0.5 + scale * Math.cos(i),
      y: 0.5 + scale * Math.sin(i),
      z: scale * (i / 21 - 0.5),
    }));
  return json({
    ...{ fps: 8, w: 64, h: 48 },
    frames: [
      {
        worldLandmarks: [landmarks(0.08)],
        landmarks: [landmarks(0.2)],
        handedness: [[{ categoryName: 'Right', score: 0.9 }]],
      },
      null,
    ],
  });
}

/** A take of Ego-Exo4D: one frame with a hand, one without. */
export const egoexoHands = (): Uint8Array => {
  const names = ['thumb', 'index', 'middle', 'ring', 'pinky'].flatMap((finger) =>
    [1, 2, 3, 4].map((joint) => `${finger}_${joint}`),
  );
  const points = ['wrist', ...names].map((name, i) => [
    `right_${name}`,
    { x: 0.1 * Math.cos(i), y: 0.1 * Math.sin(i), z: 1 + i / 200, num_views_for_3d: 4 },
  ]);
  return json({ '3': [{ annotation3D: Object.fromEntries(points) }], '33': [{ annotation3D: {} }] });
};

const fixedCamera = () => ({
  cam_intr: array([3, 3], [50, 0, 32, 0, 50, 24, 0, 0, 1]),
  cam_extr: array([4, 4], IDENTITY.flat()),
});

/** MANO parameters as ARCTIC has them, two frames of a right hand. */
export const arcticPoses = () => ({
  ...fixedCamera(),
  'right.rot': array([2, 3], new Float64Array(6)),
  'right.pose': array([2, 45], new Float64Array(90)),
  'right.trans': array([2, 3], [0, 0, 1, 0, 0, 1]),
  'right.shape': array([10], new Float64Array(10)),
});

/** As HO-Cap has them, one frame of both hands. */
export const hocapPoses = () => ({
  ...fixedCamera(),
  poses_m: array([2, 1, 51], new Float64Array(102)),
  betas: array([10], new Float64Array(10)),
});

/** A clip of HOT3D-Clips: one frame with a hand, one without. */
export const hot3dClip = () => {
  const camera = { T_world_from_camera: { quaternion_wxyz: [1, 0, 0, 0], translation_xyz: [0, 0, 0] } };
  const frame = (i: number) => ({
    [`00000${i}.cameras.json`]: json({ '214-1': camera }),
    [`00000${i}.info.json`]: json({ image_timestamps_ns: { '214-1': i * 33e6 } }),
  });
  const T_world_from_object = camera.T_world_from_camera;
  const mano_pose = { thetas: Array(15).fill(0), wrist_xform: [0, 0, 0, 0, 0, 1] };
  return tar({
    ...frame(0),
    '000000.hands.json': json({ right: { mano_pose } }),
    '000000.objects.json': json({ 7: [{ object_bop_id: 7, T_world_from_object }] }),
    ...frame(1),
    '__hand_shapes.json__': json({ mano: Array(10).fill(0) }),
  });
};

/** An episode of EgoDex: two frames of a right hand, and of a left one that is not there. */
export async function egodex(): Promise<Uint8Array> {
  const { default: h5wasm } = await import('h5wasm/node');
  await h5wasm.ready;
  const folder = await mkdtemp(join(tmpdir(), 'dwm-fuzz-'));
  const path = join(folder, '0.hdf5');
  const file = new h5wasm.File(path, 'w');
  const put = (group: string, name: string, shape: number[], data: readonly number[]) => {
    const parent = (file.get(group) ?? file.create_group(group)) as InstanceType<typeof h5wasm.Group>;
    parent.create_dataset({ name, data: Float32Array.from(data), shape });
  };
  const twice = (x: number, z: number) =>
    [0, 1].flatMap(() => [1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, z, 0, 0, 0, 1]);
  put('camera', 'intrinsic', [3, 3], [50, 0, 32, 0, 50, 24, 0, 0, 1]);
  put('transforms', 'camera', [2, 4, 4], twice(0, 0));
  for (const [side, seen] of Object.entries({ left: 0, right: 1 }))
    for (const [i, joint] of EGODEX_JOINTS.entries()) {
      put('transforms', side + joint, [2, 4, 4], twice(0.02 * Math.floor((i + 3) / 4), 0.02 * (i % 4)));
      put('confidences', side + joint, [2], [seen, seen]);
    }
  file.close();
  const bytes = new Uint8Array(await readFile(path));
  await rm(folder, { recursive: true });
  return bytes;
}

export const egoexoCamera = (): Uint8Array => {
  const pose = [
    [1, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 0, 1, 0],
  ];
  const intrinsics = [
    [50, 0, 31.5],
    [0, 50, 31.5],
    [0, 0, 1],
  ];
  return json({ aria01: { camera_intrinsics: intrinsics, camera_extrinsics: { '3': pose, '33': pose } } });
};

/** The directory of a network's weights: two tensors in 16 bytes. */
export const handWeights = (): Uint8Array =>
  json({ keys: ['conv2d/Conv2D', 'x'], shapes: [[2, 2], [4]], offsets: [0, 8], dtype: 'float16' });

export const aria = (): Uint8Array =>
  text(
    [
      'tracking_timestamp_us,tx_world_device,ty_world_device,tz_world_device,qx_world_device,qy_world_device,qz_world_device,qw_world_device',
      '1000,0,0,0,0,0,0,1',
      '34000,0.1,0,0,0,0,0,1',
      '',
    ].join('\n'),
  );

export const headset = (): Uint8Array =>
  text(
    [
      'timestamp[ns],t_wo_x[m],t_wo_y[m],t_wo_z[m],q_wo_w,q_wo_x,q_wo_y,q_wo_z',
      '1700000000000000000,0,0,0,1,0,0,0',
      '1700000000033000000,0.1,0,0,1,0,0,0',
      '',
    ].join('\n'),
  );

/** HOT3D's hands at two times. */
export const hot3dHands = (): Uint8Array =>
  text(
    [1, 2]
      .map((time) => {
        const hand = {
          pose: Array(15).fill(0.1),
          wrist_xform: { q_wxyz: [1, 0, 0, 0], t_xyz: [0, 0, 1] },
          betas: Array(10).fill(0),
        };
        return `{"timestamp_ns": 170000000000000000${time}, "hand_poses": ${JSON.stringify({ '1': hand })}}\n`;
      })
      .join(''),
  );

export const colmapCameras = (): Uint8Array => text('# cameras\n1 PINHOLE 64 48 50 50 32 24\n');
export const colmapImages = (): Uint8Array =>
  text('# images\n1 1 0 0 0 0 0 0 1 a.png\n10 10 -1\n2 1 0 0 0 0 0 1 1 b.png\n\n');

/** `cameras.bin` and `images.bin` of the same. */
export function colmapBinary(): { cameras: Uint8Array; images: Uint8Array } {
  const u64 = (value: number) => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
  const u32 = (value: number) => new Uint8Array(Uint32Array.of(value).buffer);
  const f64 = (...values: number[]) => new Uint8Array(Float64Array.from(values).buffer);
  const cameras = [u64(1), u32(1), u32(1), u64(64), u64(48), f64(50, 50, 32, 24)];
  const image = (id: number, name: string) => [
    ...[u32(id), f64(1, 0, 0, 0), f64(0, 0, id), u32(1), text(`${name}\0`), u64(1), f64(10, 10), u64(7)],
  ];
  return {
    cameras: new Uint8Array(Buffer.concat(cameras)),
    images: new Uint8Array(Buffer.concat([u64(2), ...image(1, 'a.png'), ...image(2, 'b.png')])),
  };
}

/** Wan's transformer, in its own words and in diffusers'. */
export const WAN_CONFIGS: readonly object[] = [
  {
    ...{ _class_name: 'WanModel', model_type: 't2v', dim: 16, num_heads: 2, ffn_dim: 32, num_layers: 1 },
    ...{ freq_dim: 8, in_dim: 16, out_dim: 16, text_dim: 8, text_len: 4, patch_size: [1, 2, 2] },
    ...{ qk_norm: true, cross_attn_norm: true, eps: 1e-6 },
  },
  {
    ...{ _class_name: 'WanTransformer3DModel', num_attention_heads: 2, attention_head_dim: 8, ffn_dim: 32 },
    ...{ num_layers: 1, freq_dim: 8, in_channels: 16, out_channels: 16, text_dim: 8, patch_size: [1, 2, 2] },
    ...{ qk_norm: 'rms_norm_across_heads', cross_attn_norm: true, eps: 1e-6 },
  },
];

export const WAN_VAE_CONFIGS: readonly object[] = [
  {
    base_dim: 8,
    z_dim: 16,
    dim_mult: [1, 2, 4, 4],
    num_res_blocks: 1,
    temperal_downsample: [false, true, true],
  },
];

/** Those of Wan's own VAE that tell its size: two levels, one change of size between them. */
export const wanVaeShapes = () => ({
  'encoder.conv1.weight': [8, 3, 3, 3, 3],
  'encoder.downsamples.0.residual.6.weight': [8, 8, 3, 3, 3],
  'encoder.downsamples.1.resample.1.weight': [8, 8, 3, 3],
  'encoder.downsamples.1.time_conv.weight': [8, 8, 3, 1, 1],
  'encoder.downsamples.2.residual.6.weight': [16, 8, 3, 3, 3],
  'decoder.head.0.gamma': [8, 1, 1, 1],
  'conv2.weight': [16, 16, 1, 1, 1],
});

export const umt5Shapes = () => ({
  'token_embedding.weight': [64, 16],
  'blocks.0.pos_embedding.embedding.weight': [32, 2],
  'blocks.0.attn.q.weight': [16, 16],
  'blocks.0.ffn.fc1.weight': [32, 16],
  'blocks.1.norm1.weight': [16],
});

const TOWER = { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 };
export const CLIP_CONFIG = {
  ...{ model_type: 'clip', projection_dim: 8 },
  text_config: { ...TOWER, vocab_size: 64, max_position_embeddings: 8, hidden_act: 'quick_gelu' },
  vision_config: { ...TOWER, image_size: 32, patch_size: 16, hidden_act: 'quick_gelu' },
};

export const CLIP_TOKENIZER = {
  added_tokens: [{ id: 6, content: '<|startoftext|>' }],
  model: {
    ...{ type: 'BPE', end_of_word_suffix: '</w>' },
    vocab: { a: 0, 'a</w>': 1, h: 2, n: 3, 'd</w>': 4, han: 5, '<|endoftext|>': 7 },
    merges: ['h a', ['ha', 'n']],
  },
};

export const WAN_YAML = `pipeline:
  type: wan2.1_fun_inp_hand_concat
  base_model_name_or_path: Wan2.1-Fun-14B-InP
  fps: 16
data: { data_root: data, height_buckets: [480], width_buckets: [832] }
training:
  mode: lora
  lora_alpha: 64
  custom_settings: { lightx2v_lora_path: x.safetensors, lightx2v_lora_scale: 0.5 }
`;
