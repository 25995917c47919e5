// The viewer: reads window.osm4eoAbout, draws overlays with MapLibre GL, answers clicks.
"use strict";
(() => {
  const about = window.osm4eoAbout;
  const SIDE = about.side;
  const KEPT = 96; // decoded tiles, 1 MB each
  const RAMP = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"]; // dark: unsure
  const STEPS = 250; // a probability of 1
  const overlays = new Map(about.overlays.map((o) => [o.name, prepare(o)]));

  const objects = about.objects && prepare(about.objects);

  const waiting = new Map();
  window.osm4eoTile = (key, text) => {
    waiting.get(key)?.resolve(text);
    waiting.delete(key);
  };

  function prepare(overlay) {
    const zooms = new Map();
    for (const [zoom, [x, y, w, h, bits]] of Object.entries(overlay.zooms)) {
      zooms.set(Number(zoom), { x, y, w, h, bits: bytesOf(bits) });
    }
    const finest = Math.max(...zooms.keys());
    return { ...overlay, zooms, finest, hidden: new Set(), version: 0, opacity: 1, on: overlay.shown };
  }

  function bytesOf(text) {
    return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  }

  function has(overlay, z, x, y) {
    const level = overlay.zooms.get(z);
    if (!level) return false;
    const [i, j] = [x - level.x, y - level.y];
    if (i < 0 || j < 0 || i >= level.w || j >= level.h) return false;
    const k = j * level.w + i;
    return ((level.bits[k >> 3] >> (7 - (k & 7))) & 1) === 1;
  }

  // A tile's text: from the page itself, or from a script beside it, which also file:// allows.
  function textOf(key) {
    if (about.inside) return Promise.resolve(about.inside[key]);
    if (waiting.has(key)) return waiting.get(key).promise;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    waiting.set(key, entry);
    const script = document.createElement("script");
    script.src = `tiles/${key.split("/").map(encodeURIComponent).join("/")}.js`;
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      waiting.delete(key);
      entry.reject(new Error(`no tile ${key}`));
    };
    document.head.append(script);
    return entry.promise;
  }

  const kept = new Map();
  function valuesOf(key) {
    let values = kept.get(key);
    kept.delete(key);
    if (!values) values = textOf(key).then((text) => inflated(bytesOf(text)));
    kept.set(key, values);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    values.catch(() => kept.delete(key));
    return values;
  }

  async function inflated(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  function paletteOf(overlay) {
    const palette = new Uint32Array(256);
    if (overlay.kind === "quantity") {
      for (let v = 0; v <= STEPS; v++) palette[v] = packed(blend(v / STEPS));
      return palette;
    }
    for (const entry of overlay.entries) {
      if (!overlay.hidden.has(entry.value)) palette[entry.value] = packed(rgb(entry.color));
    }
    return palette;
  }

  function rgb(color) {
    return [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
  }

  function packed([r, g, b]) {
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }

  function blend(share) {
    const at = Math.min(share * (RAMP.length - 1), RAMP.length - 1.001);
    const [low, high] = [rgb(RAMP[Math.floor(at)]), rgb(RAMP[Math.floor(at) + 1])];
    return low.map((v, i) => Math.round(v + (high[i] - v) * (at % 1)));
  }

  maplibregl.addProtocol("osm4eo", async ({ url }) => {
    const parts = url.replace("osm4eo://", "").split("?")[0].split("/");
    const [name, z, x, y] = parts.map(decodeURIComponent);
    const overlay = overlays.get(name);
    if (!has(overlay, Number(z), Number(x), Number(y))) return { data: await nothing() };
    const key = `${name}/${z}/${x}_${y}`;
    if (overlay.kind === "color") {
      const picture = new Blob([bytesOf(await textOf(key))], { type: "image/webp" });
      return { data: await createImageBitmap(picture) };
    }
    const values = await valuesOf(key);
    const palette = paletteOf(overlay);
    const image = new ImageData(SIDE, SIDE);
    const pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < values.length; i++) pixels[i] = palette[values[i]];
    return { data: await createImageBitmap(image) };
  });

  function nothing() {
    return createImageBitmap(new ImageData(1, 1));
  }

  function sourceOf(overlay) {
    return {
      type: "raster",
      tiles: [tilesOf(overlay)],
      tileSize: SIDE,
      minzoom: Math.min(...overlay.zooms.keys()),
      maxzoom: overlay.finest,
      bounds: overlay.bounds,
    };
  }

  function tilesOf(overlay) {
    return `osm4eo://${encodeURIComponent(overlay.name)}/{z}/{x}/{y}?${overlay.version}`;
  }

  function layerOf(overlay, visible) {
    return {
      id: overlay.name,
      type: "raster",
      source: overlay.name,
      layout: { visibility: visible ? "visible" : "none" },
      paint: {
        "raster-opacity": overlay.opacity,
        "raster-fade-duration": 0,
        "raster-resampling": overlay.kind === "color" ? "linear" : "nearest",
      },
    };
  }

  function styleOf(visible) {
    const bottomUp = [...overlays.values()].reverse();
    return {
      version: 8,
      sources: Object.fromEntries(bottomUp.map((o) => [o.name, sourceOf(o)])),
      layers: bottomUp.map((o) => layerOf(o, visible(o))),
    };
  }

  function extent() {
    const all = [...overlays.values()].map((o) => o.bounds);
    const side = (i, pick) => pick(...all.map((b) => b[i]));
    return [
      [side(0, Math.min), side(1, Math.min)],
      [side(2, Math.max), side(3, Math.max)],
    ];
  }

  const alone = Boolean(about.inside);
  const panelWide = document.getElementById("panel").offsetWidth + 20;
  const ground = new maplibregl.Map({
    container: "ground",
    style: styleOf((o) => o.on),
    bounds: extent(),
    fitBoundsOptions: { padding: { top: 20, bottom: 40, right: 20, left: window.innerWidth > 700 ? panelWide : 20 } },
    hash: !alone,
    maxZoom: 18,
    attributionControl: false,
    dragRotate: false,
    pitchWithRotate: false,
  });
  ground.touchZoomRotate.disableRotation();
  ground.addControl(new maplibregl.NavigationControl({ showCompass: false }), "top-right");
  ground.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), "bottom-right");
  ground.addControl(new maplibregl.AttributionControl({ customAttribution: about.credits, compact: true }));

  // Swiping: a second map over the first, which follows it and is cut off at the divider.
  const swiped = document.getElementById("swiped");
  const divider = document.getElementById("divider");
  let second = null;
  let share = 0.5;

  function swipeWith(name) {
    swiped.hidden = divider.hidden = !name;
    if (!name) return;
    if (!second) {
      second = new maplibregl.Map({
        container: "swiped",
        style: styleOf((o) => o.name === name),
        interactive: false,
        attributionControl: false,
      });
      ground.on("move", follow);
    } else {
      for (const o of overlays.values()) {
        second.setLayoutProperty(o.name, "visibility", o.name === name ? "visible" : "none");
      }
    }
    second.resize();
    follow();
    cutOff();
  }

  function follow() {
    if (!swiped.hidden) second.jumpTo({ center: ground.getCenter(), zoom: ground.getZoom() });
  }

  function cutOff() {
    const at = share * window.innerWidth;
    divider.style.left = `${at}px`;
    divider.setAttribute("aria-valuenow", Math.round(100 * share));
    swiped.style.clipPath = `inset(0 0 0 ${at}px)`;
  }

  divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
  divider.addEventListener("pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    share = Math.min(Math.max(event.clientX / window.innerWidth, 0), 1);
    cutOff();
  });
  divider.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (!step) return;
    share = Math.min(Math.max(share + step, 0), 1);
    cutOff();
  });
  window.addEventListener("resize", cutOff);

  // The panel.
  function element(tag, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  }

  function redraw(overlay) {
    overlay.version += 1;
    for (const map of [ground, second]) map?.getSource(overlay.name)?.setTiles([tilesOf(overlay)]);
  }

  function overlayRow(overlay) {
    const box = element("input", { type: "checkbox", checked: overlay.on, id: `show-${overlay.name}` });
    box.addEventListener("change", () => {
      overlay.on = box.checked;
      ground.setLayoutProperty(overlay.name, "visibility", box.checked ? "visible" : "none");
      showLegend();
    });
    const slider = element("input", { type: "range", min: 0, max: 100, value: 100, title: "Opacity" });
    slider.id = `opacity-${overlay.name}`;
    slider.addEventListener("input", () => {
      overlay.opacity = slider.value / 100;
      ground.setPaintProperty(overlay.name, "raster-opacity", overlay.opacity);
    });
    return element("div", { className: "overlay" }, element("label", {}, box, ` ${overlay.title}`), slider);
  }

  function entryRow(overlay, entry) {
    const box = element("input", { type: "checkbox", checked: !overlay.hidden.has(entry.value) });
    box.addEventListener("change", () => {
      overlay.hidden[box.checked ? "delete" : "add"](entry.value);
      redraw(overlay);
    });
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = entry.color;
    const figures = element("span", { className: "figures" }, entry.figures);
    return element("label", {}, box, swatch, element("span", {}, entry.name), figures);
  }

  function legendOf(overlay) {
    const head = element("h2", {}, overlay.title);
    if (overlay.kind === "classes") return [head, ...overlay.entries.map((e) => entryRow(overlay, e))];
    const ramp = element("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(90deg, ${RAMP.join(",")})`;
    const ends = element("div", { className: "ends" }, element("span", {}, "0"), element("span", {}, "1"));
    return [head, ramp, ends];
  }

  function showLegend() {
    const shown = [...overlays.values()].filter((o) => o.on && o.kind !== "color");
    document.getElementById("legend").replaceChildren(...shown.flatMap(legendOf));
  }

  document.getElementById("title").textContent = about.title;
  document.getElementById("note").textContent = about.note;
  document.getElementById("overlays").append(...[...overlays.values()].map(overlayRow));
  const choice = document.getElementById("swipe-with");
  choice.append(...[...overlays.values()].map((o) => element("option", { value: o.name }, o.title)));
  choice.addEventListener("change", () => swipeWith(choice.value));
  showLegend();

  // A click: what every overlay holds there, read from its finest tiles.
  function pixelAt(overlay, lngLat) {
    const { x, y } = maplibregl.MercatorCoordinate.fromLngLat(lngLat);
    const scale = 2 ** overlay.finest;
    const [column, row] = [Math.floor(x * scale), Math.floor(y * scale)];
    if (!has(overlay, overlay.finest, column, row)) return null;
    const [i, j] = [Math.floor((x * scale - column) * SIDE), Math.floor((y * scale - row) * SIDE)];
    return { key: `${overlay.name}/${overlay.finest}/${column}_${row}`, at: j * SIDE + i };
  }

  async function valueAt(overlay, lngLat) {
    const pixel = pixelAt(overlay, lngLat);
    if (!pixel) return null;
    const value = (await valuesOf(pixel.key))[pixel.at];
    return value === overlay.nodata ? null : value;
  }

  async function objectAt(lngLat) {
    const pixel = pixelAt(objects, lngLat);
    if (!pixel) return "none";
    const [numbers, told] = (await textOf(pixel.key)).split(/\|(.*)/s);
    const number = new Uint32Array((await inflated(bytesOf(numbers))).buffer)[pixel.at];
    if (!number) return "none";
    const [kind, id, tag] = JSON.parse(told)[number - 1];
    return `${kind} ${id}, ${tag}`;
  }

  function inWords(overlay, value) {
    if (value === null) return "no data";
    if (overlay.kind === "quantity") return (value / STEPS).toFixed(2);
    return overlay.entries.find((e) => e.value === value)?.name ?? String(value);
  }

  async function foundAt(lngLat) {
    const rows = [];
    for (const overlay of overlays.values()) {
      if (overlay.kind === "color") continue;
      rows.push([overlay.title, inWords(overlay, await valueAt(overlay, lngLat))]);
    }
    if (objects) rows.push(["OpenStreetMap object", await objectAt(lngLat)]);
    return rows;
  }

  ground.on("click", async (event) => {
    const place = `${event.lngLat.lat.toFixed(5)}, ${event.lngLat.lng.toFixed(5)}`;
    const rows = [...(await foundAt(event.lngLat)), ["Latitude, longitude", place]];
    const table = element("table", { className: "found" });
    for (const [name, value] of rows) {
      table.append(element("tr", {}, element("th", {}, name), element("td", {}, value)));
    }
    new maplibregl.Popup({ maxWidth: "22rem" }).setLngLat(event.lngLat).setDOMContent(table).addTo(ground);
  });

  window.osm4eoViewer = { map: ground, second: () => second, foundAt, swipeWith };
})();
