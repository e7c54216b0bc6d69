/** A static export: the control plane serves `out/`, there is no Node at run time. @type {import("next").NextConfig} */
export default {
  output: "export",
  reactStrictMode: true,
  poweredByHeader: false,
  devIndicators: false,
};
