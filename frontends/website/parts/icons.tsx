/** Line icons of one family, 20 px, in the colour of the text. */
import type { ReactNode } from "react";

const icon = (paths: ReactNode) =>
  function Icon() {
    return (
      <svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
        {paths}
      </svg>
    );
  };

export const Create = icon(<path d="M10 3v14M3 10h14" />);
export const History = icon(<path d="M3 3h6v6H3zM11 3h6v6h-6zM3 11h6v6H3zM11 11h6v6h-6z" />);
export const Person = icon(<><circle cx="10" cy="6.500" r="3.500" /><path d="M3.500 17c.6-3.500 3.200-5 6.500-5s5.900 1.500 6.500 5" /></>);
export const More = icon(<path d="M3 6h14M3 10h14M3 14h14" />);
export const KeyIcon = icon(<><circle cx="6.500" cy="13.500" r="3.500" /><path d="m9 11 7-7m-3 3 2.500 2.500" /></>);
export const Hook = icon(<path d="M4 10a6 6 0 0 1 12 0M10 4v9m0 0-3-3m3 3 3-3M4 16h12" />);
export const Gauge = icon(<><path d="M3 14a7 7 0 1 1 14 0" /><path d="m10 13 3-4M3 17h14" /></>);
export const Moon = icon(<path d="M16 12.500A7 7 0 1 1 8 3.500a5.500 5.500 0 0 0 8 9Z" />);
export const Door = icon(<path d="M8 3H4v14h4M8 10h9m-3-3 3 3-3 3" />);
export const Down = icon(<path d="M10 3v10m0 0-4-4m4 4 4-4M3 17h14" />);
export const Repeat = icon(<path d="M4 8V7a3 3 0 0 1 3-3h9m0 0-3-2.500M16 4l-3 2.500M16 12v1a3 3 0 0 1-3 3H4m0 0 3 2.500M4 16l3-2.500" />);
export const Vary = icon(<path d="M10 2.500 11.800 8l5.700 2-5.700 2L10 17.500 8.200 12l-5.700-2 5.700-2z" />);
export const Enlarge = icon(<path d="M12 3h5v5M17 3l-6 6M8 17H3v-5M3 17l6-6" />);
export const Copy = icon(<path d="M7 7h10v10H7zM13 7V3H3v10h4" />);
export const Bin = icon(<path d="M3 5h14M8 5V3h4v2M5 5l1 12h8l1-12M8.500 9v5M11.500 9v5" />);
export const Picture = icon(<><path d="M3 3h14v14H3zM3 14l4-4 4 4 2.500-2.500L17 15" /><circle cx="13" cy="7" r="1.300" /></>);
export const Dice = icon(<><path d="M3 3h14v14H3z" /><path d="M7 7h.01M13 13h.01M10 10h.01M13 7h.01M7 13h.01" strokeWidth="2.400" /></>);
export const Out = icon(<path d="M8 12 16 4m-5 0h5v5M14 12v4H4V6h4" />);
export const Flag = icon(<path d="M5 18V3h10l-2 3.500L15 10H5" />);
