/**
 * The rasterizer's shaders. All positions are relative to the camera, in world axes, so the camera is at the
 * origin; all colours are linear, the target's view encodes sRGB.
 *
 * `surface` is glTF 2.0's appendix B: Lambert and GGX with the height-correlated Smith term (Heitz 2014), Schlick's
 * Fresnel; the specular part of the sky uses the fit of Karis, "Physically Based Shading on Mobile" (2014).
 *
 * Bind group 0: frame, draws, lights, shadow map. Group 1: material. Draw records are found by the instance
 * index: each instance has its own, and the `firstInstance` of a draw is the number of its first.
 */
export const MESH_SHADER = /* wgsl */ `
override hasNormals: bool = true;
override hasTangents: bool = false;
override hasBaseTexture: bool = false;
override hasNormalTexture: bool = false;
override hasShineTexture: bool = false;
// rather than metallic roughness
override specularGlossiness: bool = false;
override hasOcclusionTexture: bool = false;
override hasEmissiveTexture: bool = false;
override hasSpecularTexture: bool = false;
override hasSpecularColorTexture: bool = false;
override hasShadow: bool = false;
override unlit: bool = false;
// 0 opaque, 1 mask, 2 blend
override alphaMode: u32 = 0;

struct Frame {
  clip: mat4x4f,
  shadow: mat4x4f,
  rays: array<vec4f, 3>,
  sky: vec4f,
  ground: vec4f,
  // rgb, and 1 in w for a plain colour instead of the sky
  background: vec4f,
  exposure: f32,
  lightCount: u32,
  shadowTexel: f32,
  // metres that a shadow texel covers
  shadowScale: f32,
}

struct Draw {
  // rows of the 3x4 matrix to camera-relative world coordinates
  rows: array<vec4f, 3>,
  // rows of the normal matrix
  normalRows: array<vec4f, 3>,
  node: i32,
  // -1 for a mirrored node
  handedness: f32,
}

struct Light {
  position: vec3f,
  range: f32,
  direction: vec3f,
  // 0 directional, 1 point, 2 spot
  kind: u32,
  color: vec3f,
  cosOuter: f32,
  cosInner: f32,
  castsShadow: u32,
}

struct Material {
  baseColor: vec4f,
  emissive: vec3f,
  alphaCutoff: f32,
  metallic: f32,
  roughness: f32,
  normalScale: f32,
  occlusionStrength: f32,
  // reflectance along the normal, of what is no metal, before it is multiplied by that at grazing angles
  specular: vec3f,
  grazing: f32,
  glossiness: f32,
  // two rows a texture; the first one's w is the set of coordinates
  uvRows: array<vec4f, 14>,
}

@group(0) @binding(0) var<uniform> frame: Frame;
@group(0) @binding(1) var<storage, read> draws: array<Draw>;
@group(0) @binding(2) var<storage, read> lights: array<Light>;
@group(0) @binding(3) var shadowMap: texture_depth_2d;
@group(0) @binding(4) var shadowSampler: sampler_comparison;

@group(1) @binding(0) var<uniform> material: Material;
@group(1) @binding(1) var baseTexture: texture_2d<f32>;
@group(1) @binding(2) var shineTexture: texture_2d<f32>;
@group(1) @binding(3) var normalTexture: texture_2d<f32>;
@group(1) @binding(4) var occlusionTexture: texture_2d<f32>;
@group(1) @binding(5) var emissiveTexture: texture_2d<f32>;
@group(1) @binding(6) var specularTexture: texture_2d<f32>;
@group(1) @binding(7) var specularColorTexture: texture_2d<f32>;
@group(1) @binding(8) var baseSampler: sampler;
@group(1) @binding(9) var shineSampler: sampler;
@group(1) @binding(10) var normalSampler: sampler;
@group(1) @binding(11) var occlusionSampler: sampler;
@group(1) @binding(12) var emissiveSampler: sampler;
@group(1) @binding(13) var specularSampler: sampler;
@group(1) @binding(14) var specularColorSampler: sampler;
@group(1) @binding(15) var nearestSampler: sampler;

struct Vertex {
  @location(0) position: vec3f,
  @location(1) normal: vec3f,
  @location(2) tangent: vec4f,
  @location(3) uv: vec4f,
  @location(4) color: vec4f,
  @builtin(instance_index) draw: u32,
}

struct Varyings {
  @builtin(position) @invariant clip: vec4f,
  @location(0) position: vec3f,
  @location(1) normal: vec3f,
  @location(2) tangent: vec4f,
  @location(3) uv: vec4f,
  @location(4) color: vec4f,
  @location(5) @interpolate(flat) node: i32,
}

fn transform(rows: array<vec4f, 3>, v: vec4f) -> vec3f {
  return vec3f(dot(rows[0], v), dot(rows[1], v), dot(rows[2], v));
}

@vertex fn place(vertex: Vertex) -> Varyings {
  let draw = draws[vertex.draw];
  var out: Varyings;
  out.position = transform(draw.rows, vec4f(vertex.position, 1));
  out.clip = frame.clip * vec4f(out.position, 1);
  out.normal = transform(draw.normalRows, vec4f(vertex.normal, 0));
  out.tangent = vec4f(transform(draw.rows, vec4f(vertex.tangent.xyz, 0)), vertex.tangent.w * draw.handedness);
  out.uv = vertex.uv;
  out.color = vertex.color;
  out.node = draw.node;
  return out;
}

@vertex fn placeOnly(@location(0) position: vec3f, @builtin(instance_index) draw: u32) -> @builtin(position) @invariant vec4f {
  return frame.clip * vec4f(transform(draws[draw].rows, vec4f(position, 1)), 1);
}

fn coordinates(uv: vec4f, slot: u32) -> vec2f {
  let u = material.uvRows[2 * slot];
  let v = material.uvRows[2 * slot + 1];
  let at = vec3f(select(uv.xy, uv.zw, u.w == 1), 1);
  return vec2f(dot(u.xyz, at), dot(v.xyz, at));
}

// The triangle's own normal, towards the camera.
fn facet(position: vec3f) -> vec3f {
  let normal = cross(dpdx(position), dpdy(position));
  let n = normal * inverseSqrt(max(dot(normal, normal), 1e-38));
  return select(n, -n, dot(n, position) > 0);
}

fn baseColor(in: Varyings) -> vec4f {
  var color = material.baseColor * in.color;
  if (hasBaseTexture) { color *= textureSample(baseTexture, baseSampler, coordinates(in.uv, 0)); }
  return color;
}

fn shadingNormal(in: Varyings, front: bool) -> vec3f {
  var n = facet(in.position);
  if (hasNormals) {
    n = in.normal * inverseSqrt(max(dot(in.normal, in.normal), 1e-38));
    n = select(-n, n, front);
  }
  if (!hasNormalTexture) { return n; }
  let uv = coordinates(in.uv, 2);
  let texel = textureSample(normalTexture, normalSampler, uv).xyz * 2 - 1;
  let local = vec3f(texel.xy * material.normalScale, texel.z);
  var tangent: vec3f;
  var bitangent: vec3f;
  if (hasTangents) {
    tangent = in.tangent.xyz - n * dot(n, in.tangent.xyz);
    tangent *= inverseSqrt(max(dot(tangent, tangent), 1e-38));
    bitangent = cross(select(-n, n, front), tangent) * in.tangent.w;
  } else {
    // Directions in which u and v grow (Schueler, "Normal Mapping Without Precomputed Tangents").
    let px = dpdx(in.position);
    let py = dpdy(in.position);
    let ux = dpdx(uv);
    let uy = dpdy(uv);
    let across = cross(py, n);
    let along = cross(n, px);
    tangent = across * ux.x + along * uy.x;
    bitangent = across * ux.y + along * uy.y;
    // Screen y grows downwards, and the surface may face away: the sign says which way round px, py, n are.
    let size = sign(dot(cross(px, py), n)) *
      inverseSqrt(max(max(dot(tangent, tangent), dot(bitangent, bitangent)), 1e-38));
    tangent *= size;
    // glTF's v grows downwards in the picture, its bitangent upwards.
    bitangent *= -size;
  }
  return normalize(tangent * local.x + bitangent * local.y + n * local.z);
}

fn sunlight(position: vec3f, normal: vec3f) -> f32 {
  if (!hasShadow) { return 1; }
  let at = (frame.shadow * vec4f(position + normal * frame.shadowScale * 1.5, 1)).xyz;
  if (any(at.xy < vec2f(0)) || any(at.xy > vec2f(1)) || at.z < 0) { return 1; }
  let step = frame.shadowTexel * 0.75;
  // Four taps half a texel apart, each the sampler's blend of four comparisons.
  var lit = 0.0;
  lit += textureSampleCompareLevel(shadowMap, shadowSampler, at.xy + vec2f(-step, -step), at.z);
  lit += textureSampleCompareLevel(shadowMap, shadowSampler, at.xy + vec2f(step, -step), at.z);
  lit += textureSampleCompareLevel(shadowMap, shadowSampler, at.xy + vec2f(-step, step), at.z);
  lit += textureSampleCompareLevel(shadowMap, shadowSampler, at.xy + vec2f(step, step), at.z);
  return lit / 4;
}

fn skyRadiance(direction: vec3f) -> vec3f {
  return mix(frame.ground.rgb, frame.sky.rgb, 0.5 + 0.5 * direction.y);
}

struct Surface {
  diffuse: vec3f,
  f0: vec3f,
  f90: f32,
  alpha: f32,
}

// Radiance towards the camera for irradiance 1 from the direction l: brdf x n.l.
fn reflect1(s: Surface, n: vec3f, v: vec3f, l: vec3f) -> vec3f {
  let nl = dot(n, l);
  if (nl <= 0) { return vec3f(0); }
  let nv = max(dot(n, v), 1e-4);
  let h = normalize(l + v);
  let nh = max(dot(n, h), 0.0);
  let a2 = s.alpha * s.alpha;
  let d = nh * nh * (a2 - 1) + 1;
  let visibility = 0.5 / (nl * sqrt(nv * nv * (1 - a2) + a2) + nv * sqrt(nl * nl * (1 - a2) + a2));
  let grazing = 1 - max(dot(h, v), 0.0);
  let grazing2 = grazing * grazing;
  let fresnel = s.f0 + (s.f90 - s.f0) * (grazing2 * grazing2 * grazing);
  let specular = fresnel * (a2 / (3.14159265 * d * d)) * visibility;
  return ((1 - fresnel) * s.diffuse / 3.14159265 + specular) * nl;
}

fn surface(in: Varyings, front: bool, base: vec3f) -> vec3f {
  let n = shadingNormal(in, front);
  let side = facet(in.position);
  let v = -normalize(in.position);
  var occlusion = 1.0;
  if (hasOcclusionTexture) {
    let texel = textureSample(occlusionTexture, occlusionSampler, coordinates(in.uv, 3)).r;
    occlusion = 1 + material.occlusionStrength * (texel - 1);
  }
  var shine = vec4f(1);
  if (hasShineTexture) { shine = textureSample(shineTexture, shineSampler, coordinates(in.uv, 1)); }
  var s: Surface;
  var roughness: f32;
  if (specularGlossiness) {
    roughness = 1 - material.glossiness * shine.a;
    s.f0 = material.specular * shine.rgb;
    s.f90 = 1;
    s.diffuse = base * (1 - max(s.f0.r, max(s.f0.g, s.f0.b)));
  } else {
    roughness = material.roughness * shine.g;
    let metallic = material.metallic * shine.b;
    var normal = material.specular;
    var grazing = material.grazing;
    if (hasSpecularColorTexture) {
      normal *= textureSample(specularColorTexture, specularColorSampler, coordinates(in.uv, 6)).rgb;
    }
    if (hasSpecularTexture) { grazing *= textureSample(specularTexture, specularSampler, coordinates(in.uv, 5)).a; }
    s.f0 = mix(min(normal, vec3f(1)) * grazing, base, metallic);
    s.f90 = mix(grazing, 1, metallic);
    s.diffuse = base * (1 - metallic);
  }
  s.alpha = max(roughness * roughness, 0.002);

  var radiance = vec3f(0);
  for (var i = 0u; i < frame.lightCount; i++) {
    let light = lights[i];
    var l = -light.direction;
    var strength = 1.0;
    if (light.kind != 0) {
      let towards = light.position - in.position;
      let squared = max(dot(towards, towards), 1e-8);
      l = towards * inverseSqrt(squared);
      let reach = squared / (light.range * light.range);
      strength = saturate(1 - reach * reach) / squared;
      if (light.kind == 2) {
        let spot = saturate((dot(-l, light.direction) - light.cosOuter) / max(light.cosInner - light.cosOuter, 1e-4));
        strength *= spot * spot;
      }
    }
    if (light.castsShadow == 1 && dot(n, l) > 0) { strength *= sunlight(in.position, side); }
    radiance += light.color * strength * reflect1(s, n, v, l);
  }

  let nv = saturate(dot(n, v));
  let r = roughness * vec4f(-1, -0.0275, -0.572, 0.022) + vec4f(1, 0.0425, 1.04, -0.04);
  let a004 = min(r.x * r.x, exp2(-9.28 * nv)) * r.x + r.y;
  let fit = vec2f(-1.04, 1.04) * a004 + r.zw;
  radiance += occlusion * (s.diffuse * skyRadiance(n) + (s.f0 * fit.x + s.f90 * fit.y) * skyRadiance(reflect(-v, n)));

  var emissive = material.emissive;
  if (hasEmissiveTexture) {
    emissive *= textureSample(emissiveTexture, emissiveSampler, coordinates(in.uv, 4)).rgb;
  }
  return radiance * frame.exposure + emissive;
}

@fragment fn color(in: Varyings, @builtin(front_facing) front: bool) -> @location(0) vec4f {
  let base = baseColor(in);
  var rgb = base.rgb;
  if (!unlit) { rgb = surface(in, front, base.rgb); }
  if (alphaMode == 1 && base.a < material.alphaCutoff) { discard; }
  return vec4f(rgb, select(1.0, base.a, alphaMode == 2));
}

// For pipelines that must name a target and write depth only.
@fragment fn nothing() -> @location(0) vec4f { return vec4f(0); }

@fragment fn cutout(in: Varyings) {
  if (baseColor(in).a < material.alphaCutoff) { discard; }
}

struct Measures {
  @location(0) node: i32,
  @location(1) normal: vec4f,
  @location(2) albedo: vec4f,
  @location(3) depth: f32,
}

// What the surface is, whatever the light: node, the triangle's normal, base colour of the nearest texel.
@fragment fn measure(in: Varyings) -> Measures {
  var base = material.baseColor * in.color;
  if (hasBaseTexture) { base *= textureSampleLevel(baseTexture, nearestSampler, coordinates(in.uv, 0), 0); }
  let normal = facet(in.position);
  if (alphaMode == 1 && base.a < material.alphaCutoff) { discard; }
  let depth = (frame.clip * vec4f(in.position, 1)).w;
  return Measures(in.node, vec4f(normal, 0), vec4f(base.rgb, 1), depth);
}

@vertex fn everywhere(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  // One triangle over the whole target, at infinity.
  return vec4f(f32(i & 1) * 4 - 1, f32(i >> 1) * 4 - 1, 0, 1);
}

@fragment fn background(@builtin(position) pixel: vec4f) -> @location(0) vec4f {
  let ray = frame.rays[0].xyz * pixel.x + frame.rays[1].xyz * pixel.y + frame.rays[2].xyz;
  let sky = skyRadiance(normalize(ray)) * frame.exposure;
  return vec4f(mix(sky, frame.background.rgb, frame.background.w), 1);
}
`;
