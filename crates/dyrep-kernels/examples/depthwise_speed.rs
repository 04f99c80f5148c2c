//! Times plain depthwise convolutions.
use dyrep_kernels::{ConvShape, backward_input, backward_weight, forward};
fn best(mut f: impl FnMut()) -> f64 {
    f();
    (0..9)
        .map(|_| {
            let t = std::time::Instant::now();
            f();
            t.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min)
}
fn main() {
    for (c, hw, k, s) in [
        (128, 32, 3, 1),
        (64, 64, 3, 1),
        (64, 56, 3, 2),
        (256, 14, 3, 1),
        (512, 7, 3, 1),
        (64, 56, 5, 1),
        (64, 56, 5, 2),
    ] {
        let p = k / 2;
        let shape = ConvShape {
            batch: 16,
            channels: [c; 2],
            input: [hw; 2],
            kernel: [k; 2],
            stride: [s; 2],
            dilation: [1; 2],
            padding: [(p, p); 2],
            groups: c,
        };
        let x: Vec<f32> =
            (0..shape.input_len()).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect();
        let g: Vec<f32> =
            (0..shape.output_len()).map(|i| (i * 7919 % 1013) as f32 / 1013.0 - 0.5).collect();
        let w = vec![0.1; shape.weight_len()];
        let (mut y, mut dx, mut dw) = (g.clone(), x.clone(), w.clone());
        let f = best(|| forward(&shape, &x, &w, None, &mut y).unwrap());
        let bi = best(|| backward_input(&shape, &g, &w, &mut dx).unwrap());
        let bw = best(|| backward_weight(&shape, &x, &g, &mut dw).unwrap());
        let gf = 2e-9 * shape.macs() as f64;
        println!(
            "c{c} {hw}x{hw} k{k} s{s}: forward {:.2} ms {:.1} GF/s; input {:.2} ms {:.1}; weight {:.2} ms {:.1}; all {:.2} ms",
            f * 1e3,
            gf / f,
            bi * 1e3,
            gf / bi,
            bw * 1e3,
            gf / bw,
            (f + bi + bw) * 1e3
        );
    }
}
