"""What reads the studies: tables, figures, the static page, the dashboard."""
