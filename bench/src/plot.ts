/**
 * Pictures of results, as SVG made by hand: lines over a number, and bars. They have to be read in
 * a repository's pages, so each carries its own colours for a light and for a dark page, and needs
 * neither script nor font. A line is named at its end and a bar beside it, not in a legend; names
 * that would lie on each other are moved apart.
 */
import { compact, linearScale, logScale, namedScale, thinned } from "./plot-scale.ts";
import type { Scale } from "./plot-scale.ts";

/** A median, and the lowest and highest run where there were several. */
export interface Mark {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

/** One line of a chart. */
export interface Line {
  readonly name: string;
  /** The name whose colour it has; its own where none is given. */
  readonly colour?: string;
  /** Drawn dotted, beside a line of the same colour. */
  readonly isDotted?: boolean;
  /** Drawn grey: what the others are held against. */
  readonly isReference?: boolean;
  readonly points: readonly (Mark & { readonly x: number })[];
}

/** An axis of numbers. */
export interface Axis {
  readonly label: string;
  readonly log?: boolean;
}

/** Lines over a number. Of `x`, the values that were measured are named where there are few. */
export interface LineChart {
  readonly kind: "lines";
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

/** Bars from zero, in groups. */
export interface BarChart {
  readonly kind: "bars";
  readonly title: string;
  readonly groups: readonly BarGroup[];
}

/** Bars that are held against each other; each group has a scale of its own. */
export interface BarGroup {
  readonly label: string;
  readonly bars: readonly Bar[];
}

/** One bar. */
export interface Bar extends Mark {
  readonly name: string;
  /** The name whose colour it has; its own where none is given. */
  readonly colour?: string;
  readonly isReference?: boolean;
}

/** One part of a picture. */
export type Chart = LineChart | BarChart;

const WIDTH = 860;
const LEFT = 72;
const RIGHT = 190;
const PLOT_HEIGHT = 240;
const TITLE_HEIGHT = 34;
const PLOT_TOP = 52;
const AXIS_HEIGHT = 46;
const GAP = 22;
const LABEL_HEIGHT = 15;
const NAMED_X_MAX = 12;
const BAR_LEFT = 170;
const BAR_RIGHT = 170;
const BAR_STEP = 20;
const BAR_HEIGHT = 13;
const GROUP_HEIGHT = 24;
const HEAD_HEIGHT = 62;

const LIGHT = [
  "#0969da",
  "#bc4c00",
  "#1a7f37",
  "#8250df",
  "#cf222e",
  "#0b7285",
  "#bf3989",
  "#7d4e00",
];
const DARK = [
  "#58a6ff",
  "#f0883e",
  "#3fb950",
  "#bc8cff",
  "#ff7b72",
  "#39c5cf",
  "#f778ba",
  "#d29922",
];

/** A picture: a heading, a line on where the numbers come from, and charts below each other. */
export function picture(title: string, note: string, charts: readonly Chart[]): string {
  const colours = coloursOf(charts);
  let top = HEAD_HEIGHT;
  const parts = charts.map((chart) => {
    const drawn = chart.kind === "lines" ? lineChart(chart, colours) : barChart(chart, colours);
    const part = `<g transform="translate(0 ${top})">\n${drawn.body}\n</g>`;
    top += drawn.height + GAP;
    return part;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${top}" ` +
      `viewBox="0 0 ${WIDTH} ${top}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${styleOf()}</style>`,
    `<rect class="page" width="${WIDTH}" height="${top}"/>`,
    text(16, 28, title, 'class="head"'),
    text(16, 47, note, 'class="muted"'),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

interface Drawn {
  readonly height: number;
  readonly body: string;
}

/** Every name keeps its colour in all charts of a picture. */
type Colours = ReadonlyMap<string, string>;

function coloursOf(charts: readonly Chart[]): Colours {
  const colours = new Map<string, string>();
  let next = 0;
  for (const chart of charts) {
    const all = chart.kind === "lines" ? chart.lines : chart.groups.flatMap(({ bars }) => bars);
    for (const { name, colour = name, isReference } of all) {
      if (colours.has(colour)) continue;
      colours.set(colour, isReference === true ? "reference" : `c${next++ % LIGHT.length}`);
    }
  }
  return colours;
}

function lineChart({ title, x, y, lines }: LineChart, colours: Colours): Drawn {
  const points = lines.flatMap((line) => line.points);
  const xs = points.map((point) => point.x);
  const isNamed = new Set(xs).size <= NAMED_X_MAX;
  const across = isNamed
    ? namedScale(xs, x.log === true)
    : x.log === true
      ? logScale(xs)
      : linearScale(xs, 8);
  const marks = points.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
  const up = y.log === true ? logScale(marks.filter((mark) => mark > 0)) : linearScale(marks, 5);
  const place: Place = {
    x: (value) => round(LEFT + across.at(value) * (WIDTH - LEFT - RIGHT)),
    y: (value) => round(PLOT_TOP + (1 - up.at(value)) * PLOT_HEIGHT),
  };
  const body = [
    text(16, 18, title, 'class="title"'),
    text(16, PLOT_TOP - 12, y.label, 'class="muted"'),
    ...gridOf(across, up, place),
    text(
      (LEFT + WIDTH - RIGHT) / 2,
      PLOT_TOP + PLOT_HEIGHT + 36,
      x.label,
      'class="muted" text-anchor="middle"',
    ),
    ...lines.map((line) => drawLine(line, place, colours.get(line.colour ?? line.name)!)),
    ...namesOf(lines, place, colours),
  ];
  return { height: PLOT_TOP + PLOT_HEIGHT + AXIS_HEIGHT, body: body.join("\n") };
}

interface Place {
  x(value: number): number;
  y(value: number): number;
}

function gridOf(across: Scale, up: Scale, place: Place): readonly string[] {
  const bottom = PLOT_TOP + PLOT_HEIGHT;
  const right = WIDTH - RIGHT;
  return [
    ...thinned(up, 18 / PLOT_HEIGHT).flatMap((tick) => [
      `<line class="grid" x1="${LEFT}" x2="${right}" y1="${place.y(tick)}" y2="${place.y(tick)}"/>`,
      text(LEFT - 8, place.y(tick) + 4, up.label(tick), 'class="muted" text-anchor="end"'),
    ]),
    ...thinned(across, 46 / (right - LEFT)).flatMap((tick) => [
      `<line class="axis" x1="${place.x(tick)}" x2="${place.x(tick)}" y1="${bottom}" y2="${bottom + 4}"/>`,
      text(place.x(tick), bottom + 18, across.label(tick), 'class="muted" text-anchor="middle"'),
    ]),
    `<line class="axis" x1="${LEFT}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
  ];
}

function drawLine({ points, isDotted }: Line, place: Place, colour: string): string {
  const isDense = points.length > 40;
  const path = points.map(({ x, value }) => `${place.x(x)},${place.y(value)}`).join(" ");
  const marks = isDense
    ? []
    : points.map(({ x, value }) => `<circle cx="${place.x(x)}" cy="${place.y(value)}" r="3.2"/>`);
  const spreads = points.flatMap(({ x, value, low = value, high = value }) =>
    low === high || low <= 0
      ? []
      : [`<path class="spread" d="M${place.x(x)} ${place.y(low)}V${place.y(high)}"/>`],
  );
  return [
    `<g class="line ${colour}${isDotted === true ? " dotted" : ""}">`,
    ...spreads,
    `<polyline points="${path}"/>`,
    ...marks,
    "</g>",
  ].join("");
}

/** The names of the lines at their ends, moved apart where they would lie on each other. */
function namesOf(lines: readonly Line[], place: Place, colours: Colours): readonly string[] {
  const ends = lines.flatMap(({ name, colour = name, points }) => {
    const last = points.at(-1);
    if (last === undefined) return [];
    return [{ name, colour: colours.get(colour)!, x: place.x(last.x), y: place.y(last.value) }];
  });
  ends.sort((a, b) => a.y - b.y);
  const placed = movedApart(
    ends.map(({ y }) => y),
    LABEL_HEIGHT,
    { from: PLOT_TOP, to: PLOT_TOP + PLOT_HEIGHT },
  );
  const right = WIDTH - RIGHT;
  return ends.map(({ name, colour, x, y }, i) => {
    const to = `L${right + 6} ${y}L${right + 16} ${round(placed[i]!)}`;
    const lead = `<path class="lead ${colour}" d="M${x + 5} ${y}${to}"/>`;
    return lead + text(right + 20, round(placed[i]! + 4), name, `class="name ${colour}"`);
  });
}

/** Places at least `gap` apart, in their order, as near as may be to where they want to be. */
export function movedApart(
  wanted: readonly number[],
  gap: number,
  { from, to }: { readonly from: number; readonly to: number },
): readonly number[] {
  const placed: number[] = [];
  for (const place of wanted) placed.push(Math.max(place, (placed.at(-1) ?? from - gap) + gap));
  for (let i = placed.length - 1, most = to; i >= 0; i--, most -= gap) {
    placed[i] = Math.min(placed[i]!, most);
    most = placed[i]!;
  }
  return placed;
}

function barChart({ title, groups }: BarChart, colours: Colours): Drawn {
  const body = [text(16, 18, title, 'class="title"')];
  let top = TITLE_HEIGHT;
  for (const { label, bars } of groups) {
    const scale = linearScale(
      bars.map(({ value, high }) => high ?? value),
      5,
    );
    if (label !== "") body.push(text(16, top + 12, label, 'class="muted"'));
    if (label !== "") top += GROUP_HEIGHT;
    for (const bar of bars) {
      body.push(drawBar(bar, top, scale, colours.get(bar.colour ?? bar.name)!));
      top += BAR_STEP;
    }
    top += 8;
  }
  return { height: top, body: body.join("\n") };
}

function drawBar(bar: Bar, top: number, scale: Scale, colour: string): string {
  const { name, value, low = value, high = value } = bar;
  const end = (of: number): number =>
    round(BAR_LEFT + scale.at(of) * (WIDTH - BAR_LEFT - BAR_RIGHT));
  const middle = top + BAR_HEIGHT / 2;
  const width = Math.max(1, round(end(value) - BAR_LEFT));
  const parts = [
    text(BAR_LEFT - 8, middle + 4, name, `class="name ${colour}" text-anchor="end"`),
    `<rect class="bar ${colour}" x="${BAR_LEFT}" y="${top}" width="${width}" ` +
      `height="${BAR_HEIGHT}" rx="2"/>`,
  ];
  if (low !== high) {
    const ends = `M${end(low)} ${middle - 3}v6M${end(high)} ${middle - 3}v6`;
    parts.push(`<path class="whisker" d="M${end(low)} ${middle}H${end(high)}${ends}"/>`);
  }
  const spread = low === high ? "" : ` (${compact(low)}–${compact(high)})`;
  parts.push(text(end(Math.max(value, high)) + 8, middle + 4, compact(value) + spread, ""));
  return parts.join("");
}

function styleOf(): string {
  const colours = (all: readonly string[]): string =>
    all.map((colour, i) => `.c${i}{color:${colour}}`).join("");
  return [
    "text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}",
    "text.head{font-size:18px;font-weight:600}text.title{font-size:13px;font-weight:600}",
    "text.muted{fill:#59636e}text.name{fill:currentColor}.page{fill:#fff}",
    ".grid{stroke:#d8dee4}.axis{stroke:#818b98}.reference{color:#59636e}",
    ".line polyline{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}",
    ".line circle,.bar{fill:currentColor}.line.reference polyline{stroke-dasharray:7 4}.line.dotted polyline{stroke-dasharray:2 4}",
    ".spread{stroke:currentColor;stroke-width:5;opacity:.25}.lead{stroke:currentColor;fill:none;opacity:.6}",
    ".bar{opacity:.8}.whisker{stroke:#1f2328;fill:none}",
    colours(LIGHT),
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}text.muted{fill:#9198a1}.page{fill:#0d1117}",
    ".grid{stroke:#2a313c}.axis{stroke:#656c76}.reference{color:#9198a1}.whisker{stroke:#e6edf3}",
    `${colours(DARK)}}`,
  ].join("");
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
