'use strict';

// Slices: a slider moves all pictures of its orientation; a click moves the sliders of the other two to that place.
const views = [...document.querySelectorAll('.slices')];
const largest = Math.max(...views.flatMap(view => {
  const {width, height} = view.querySelector('canvas');
  return [width / 350, height / 330];
}));
const whole = pixels => Math.ceil(pixels / 8) * 8;  // what a slice takes in a picture of all slices
let swapped = false, flicker = null;

function draw(view) {
  const slider = view.querySelector('input'), {lower, pixel, normal, columns} = view.dataset;
  const sheets = [...view.querySelectorAll('figure > img')], titles = view.querySelectorAll('figcaption b');
  const position = Number(lower.split(' ')[normal]) + 2 * pixel * slider.value;
  view.querySelector('output').value = 'xyz'[normal] + ' = ' + position.toFixed(1) + ' mm';
  titles[0].textContent = swapped ? titles[1].textContent : 'Fixed';
  view.querySelectorAll('canvas').forEach((canvas, k) => {
    const {width, height} = canvas, sheet = sheets[k === 0 && swapped ? 1 : k];
    const left = slider.value % columns * whole(width), top = Math.floor(slider.value / columns) * whole(height);
    canvas.getContext('2d').drawImage(sheet, left, top, width, height, 0, 0, width, height);
  });
}

function show(place) {
  for (const view of views) {
    const {lower, pixel, normal} = view.dataset, slider = view.querySelector('input');
    if (normal in place) slider.value = Math.round((place[normal] - lower.split(' ')[normal]) / (2 * pixel));
    draw(view);
  }
}

function point(view, event) {
  const {lower, pixel, horizontal, vertical} = view.dataset, start = lower.split(' ').map(Number);
  const {left, top, width, height} = event.target.getBoundingClientRect();
  const across = Math.floor((event.clientX - left) / width * event.target.width);
  const down = Math.floor((event.clientY - top) / height * event.target.height);
  const up = vertical === '2' ? event.target.height - 1 - down : down;
  view.querySelector('input').focus();
  show({[horizontal]: start[horizontal] + pixel * across, [vertical]: start[vertical] + pixel * up});
}

function swap() {
  swapped = !swapped;
  views.forEach(draw);
}

const actions = {
  swap,
  flicker() {
    flicker = flicker === null ? setInterval(swap, 500) : clearInterval(flicker) ?? null;
  },
};

for (const view of views) {
  view.querySelector('input').addEventListener('input', () => draw(view));
  for (const canvas of view.querySelectorAll('canvas')) {
    canvas.style.width = canvas.width / largest + 'px';
    canvas.addEventListener('click', event => point(view, event));
  }
  view.querySelectorAll('figure').forEach(figure => { figure.style.width = figure.querySelector('canvas').style.width; });
  Promise.all([...view.querySelectorAll('img')].map(image => image.decode())).then(() => draw(view));
}
document.querySelectorAll('.viewer').forEach(viewer => { viewer.hidden = false; });
for (const button of document.querySelectorAll('button')) button.addEventListener('click', actions[button.dataset.do]);
document.addEventListener('keydown', event => {
  const name = {m: 'swap', f: 'flicker'}[event.key];
  if (views.length && name && !event.ctrlKey && !event.metaKey && !event.altKey) actions[name]();
});

// Tables: a click on the head of a column sorts by it, numbers as numbers, and again reverses; gaps stay last.
function valueOf(row, column) {
  const cell = row.cells[column], number = cell.querySelector('data'), text = cell.textContent.trim();
  const value = number ? number.value : text;
  return value === '' || value === '–' ? null : isFinite(value) ? Number(value) : value;
}

function sort(head) {
  const rows = [...head.closest('table').rows].slice(1), column = head.cellIndex;
  const sign = head.ariaSort === 'ascending' ? -1 : 1;
  for (const other of head.parentNode.cells) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
  const order = (a, b) => typeof a === 'number' && typeof b === 'number' ? a - b
    : String(a).localeCompare(String(b), undefined, {numeric: true});
  const compare = (a, b) => a === null || b === null ? (a === null) - (b === null) : sign * order(a, b);
  rows.sort((a, b) => compare(valueOf(a, column), valueOf(b, column)));
  head.closest('tbody').append(...rows);
}

for (const head of document.querySelectorAll('table.sortable th')) {
  head.tabIndex = 0;
  head.addEventListener('click', () => sort(head));
  head.addEventListener('keydown', event => {
    if (event.key === 'Enter') sort(head);
  });
}
